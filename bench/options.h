/* The options of the command line. */
#ifndef OPTIONS_H
#define OPTIONS_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define MAX_CONNECTIONS 10000

struct options {
    const char *endpoint;
    unsigned connections, domains, users, recipients, rate;
    double seconds, warmup;
    uint64_t requests;
    int end_of_message, local;
};

static struct options opt = {NULL, 32, 1000, 10, 1, 0, 10, 1, 0, 0, 0};

static void usage(void)
{
    fputs("usage: load [options] unix:/path | host:port\n"
          "  -c N  connections (32)           -d N  domains (1000)          -u N  users of each domain (10)\n"
          "  -r N  recipients of a message (1)    -e  ask END-OF-MESSAGE, too    -l  local scripts, no login\n"
          "  -t S  seconds to measure (10)    -n N  requests to measure, instead of -t\n"
          "  -w S  seconds to warm up (1)     -k N  requests a second to offer; as many as are answered without it\n"
          "  -p    print one request and stop\n",
          stderr);
    exit(2);
}

static unsigned number(const char *text, unsigned least, unsigned most)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    if (!*text || *end || value < least || value > most)
        usage();
    return (unsigned)value;
}

/* Fills opt; returns whether -p was given. Ends with code 2 for wrong usage. */
static int parse(int argc, char **argv)
{
    int print = 0;
    for (int o; (o = getopt(argc, argv, "c:d:u:r:t:n:w:k:elp")) != -1;) {
        switch (o) {
        case 'c': opt.connections = number(optarg, 1, MAX_CONNECTIONS); break;
        case 'd': opt.domains = number(optarg, 1, 10000000); break;
        case 'u': opt.users = number(optarg, 1, 10000000); break;
        case 'r': opt.recipients = number(optarg, 1, 1000); break;
        case 't': opt.seconds = number(optarg, 1, 86400); break;
        case 'n': opt.requests = number(optarg, 1, 4000000000u); break;
        case 'w': opt.warmup = number(optarg, 0, 86400); break;
        case 'k': opt.rate = number(optarg, 1, 10000000); break;
        case 'e': opt.end_of_message = 1; break;
        case 'l': opt.local = 1; break;
        case 'p': print = 1; break;
        default: usage();
        }
    }
    if (optind + (print ? 0 : 1) != argc)
        usage();
    opt.endpoint = argv[optind];
    return print;
}

#endif
