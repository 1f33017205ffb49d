/* load - a closed-loop load generator that asks a policy service as Postfix's smtpd does.
 *
 *     gcc -O2 -Wall -Wextra -o bench/load bench/load.c
 *     bench/load [options] unix:/path | host:port
 *
 * Each connection has one outstanding request with the 29 attributes of Postfix 3.7, some 700 bytes.
 * A message is RCPT for each recipient, and END-OF-MESSAGE with -e when one of them was accepted; each
 * message has an instance of its own. With -k the load is offered at a fixed rate instead, and latency
 * counts from the moment at which a request was due, so that a slow answer delays no later request's clock.
 * Prints one line of JSON. Exit code 0, 1 when a reply was wrong or missing, 2 for wrong usage.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "dial.h"
#include "histogram.h"
#include "options.h"
#include "question.h"

#define SECOND 1000000000ull
#define DRAIN (5 * SECOND)

enum { DUNNO, DEFERRED, REJECTED, OTHER, ACTIONS };

struct connection {
    int fd, busy, counted;
    unsigned asked, accepted; /* of the present message; asked > recipients: END-OF-MESSAGE is due */
    unsigned domain, user, message;
    uint64_t due;
    size_t have;
    char reply[4096];
};

/* Of the requests after the warm-up; errors of all. unsent: due, but no connection was free. */
struct totals {
    uint64_t sent, errors, unsent, actions[ACTIONS], first, last;
    struct histogram latency;
};

static struct connection connections[MAX_CONNECTIONS];
static struct connection *idle[MAX_CONNECTIONS];
static unsigned idle_count, alive, busy_count, messages;
static struct totals totals;
static uint64_t started, seed = 88172645463325252ull;
static int epoll;

static uint64_t now_ns(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (uint64_t)at.tv_sec * SECOND + (uint64_t)at.tv_nsec;
}

static unsigned pick(unsigned below)
{
    seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
    return (unsigned)((seed >> 11) % below);
}

static void die(const char *what)
{
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* ---- connections ---- */

static int open_connection(struct connection *c)
{
    c->fd = dial(opt.endpoint);
    if (c->fd < 0)
        return -1;
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    return epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event);
}

/* ---- requests ---- */

static void next_message(struct connection *c)
{
    c->asked = c->accepted = 0;
    c->domain = pick(opt.domains);
    c->user = pick(opt.users);
    c->message = ++messages;
}

static size_t request(struct connection *c, char *to, size_t room)
{
    unsigned id = (unsigned)(c - connections);
    int end = c->asked == opt.recipients;
    struct question question = {
        .end = end, .local = opt.local, .several = opt.recipients > 1, .recipient = c->asked,
        .accepted = c->accepted, .domain = c->domain, .user = c->user, .message = c->message,
        .connection = id, .process = (unsigned)getpid() + id, .started = (unsigned)(started / SECOND),
    };
    return question_text(&question, to, room);
}

static void lose(struct connection *c)
{
    totals.errors++;
    busy_count -= (unsigned)c->busy;
    c->busy = 0;
    close(c->fd);
    next_message(c);
    if (open_connection(c)) /* a service that is gone stays gone */
        alive--;
    else
        idle[idle_count++] = c;
}

static void send_request(struct connection *c, uint64_t due, int counted)
{
    char text[2048];
    size_t size = request(c, text, sizeof text);
    c->due = due, c->counted = counted, c->busy = 1, c->have = 0;
    busy_count++;
    totals.sent += (uint64_t)counted;
    if (counted && !totals.first)
        totals.first = due;
    if (write(c->fd, text, size) != (ssize_t)size)
        lose(c);
}

/* ---- replies ---- */

static int action_of(const char *reply)
{
    if (!strcmp(reply, "DUNNO\n\n"))
        return DUNNO;
    return !strncmp(reply, "450 ", 4) ? DEFERRED : !strncmp(reply, "550 ", 4) ? REJECTED : OTHER;
}

/* A reply is exactly one "action=...\n\n". Returns 1 when it is whole, 0 when more must come, -1 when it is wrong. */
static int whole_reply(struct connection *c)
{
    c->reply[c->have] = 0;
    char *end = strchr(c->reply, '\n');
    size_t known = c->have < 7 ? c->have : 7;
    if (memcmp(c->reply, "action=", known) || strlen(c->reply) != c->have || c->have == sizeof c->reply - 1)
        return -1;
    if (!end || !end[1])
        return 0;
    return end[1] == '\n' && !end[2] && end > c->reply + 7 ? 1 : -1;
}

static void answered(struct connection *c)
{
    uint64_t at = now_ns(), us = (at - c->due + 500) / 1000;
    int action = action_of(c->reply + 7), end = c->asked == opt.recipients;
    c->busy = 0, busy_count--;
    idle[idle_count++] = c;
    if (c->counted) {
        totals.actions[action]++, totals.last = at;
        histogram_add(&totals.latency, us);
    }
    c->asked++;
    c->accepted += !end && action == DUNNO;
    if (end || (c->asked == opt.recipients && (!opt.end_of_message || !c->accepted)))
        next_message(c);
}

static void readable(struct connection *c)
{
    ssize_t got = read(c->fd, c->reply + c->have, sizeof c->reply - 1 - c->have);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got > 0)
        c->have += (size_t)got;
    int whole = got <= 0 || !c->busy ? -1 : whole_reply(c);
    if (whole > 0)
        answered(c);
    else if (whole < 0 && c->busy)
        lose(c);
    else if (whole < 0) { /* closed, or bytes that nobody asked for, while idle */
        for (unsigned at = 0; at < idle_count; at++)
            if (idle[at] == c)
                idle[at--] = idle[--idle_count];
        lose(c);
    }
}

/* ---- the run ---- */

static void wait_for_replies(uint64_t until)
{
    struct epoll_event events[256];
    uint64_t now = now_ns(), left = until > now ? until - now : 0;
    struct timespec timeout = {(time_t)(left / SECOND), (long)(left % SECOND)};
    int ready = epoll_pwait2(epoll, events, 256, &timeout, NULL);
    for (int at = 0; at < ready; at++)
        readable(events[at].data.ptr);
}

static void run(void)
{
    uint64_t start = started, from = start + (uint64_t)(opt.warmup * SECOND);
    uint64_t end = opt.requests ? UINT64_MAX : from + (uint64_t)(opt.seconds * SECOND);
    uint64_t interval = opt.rate ? SECOND / opt.rate : 0, due = start, now = start;
    while (now < end && alive && (!opt.requests || totals.sent < opt.requests)) {
        int blocked = idle_count == 0;
        if (!blocked && (!opt.rate || due <= now)) {
            uint64_t at = opt.rate ? due : now;
            send_request(idle[--idle_count], at, at >= from);
            due += interval;
        } else {
            uint64_t soon = now + SECOND / 10;
            wait_for_replies(opt.rate && !blocked && due < soon ? due : soon < end ? soon : end);
        }
        now = now_ns();
    }
    if (opt.rate && !opt.requests && due < end)
        totals.unsent = (end - due) / interval;
    for (uint64_t last = now + DRAIN; busy_count && now < last; now = now_ns())
        wait_for_replies(last);
    totals.errors += busy_count;
}

static void report(void)
{
    double seconds = totals.last > totals.first ? (double)(totals.last - totals.first) / SECOND : 0;
    const struct histogram *h = &totals.latency;
    printf("{\"requests\": %llu, \"seconds\": %.3f, \"requests_per_second\": %.0f, ", (unsigned long long)h->count,
           seconds, seconds > 0 ? (double)h->count / seconds : 0);
    const char *names[] = {"p50", "p90", "p99", "p99_9"};
    const double shares[] = {0.5, 0.9, 0.99, 0.999};
    for (unsigned at = 0; at < 4; at++)
        printf("\"%s_us\": %llu, ", names[at], (unsigned long long)histogram_quantile(h, shares[at]));
    printf("\"max_us\": %llu, ", (unsigned long long)h->max);
    printf("\"actions\": {\"DUNNO\": %llu, \"450\": %llu, \"550\": %llu, \"other\": %llu}, ",
           (unsigned long long)totals.actions[DUNNO], (unsigned long long)totals.actions[DEFERRED],
           (unsigned long long)totals.actions[REJECTED], (unsigned long long)totals.actions[OTHER]);
    printf("\"connections\": %u, \"domains\": %u, \"users\": %u, \"recipients\": %u, \"end_of_message\": %s, ",
           opt.connections, opt.domains, opt.users, opt.recipients, opt.end_of_message ? "true" : "false");
    printf("\"offered_per_second\": %u, \"unsent\": %llu, \"errors\": %llu}\n", opt.rate,
           (unsigned long long)totals.unsent, (unsigned long long)totals.errors);
}

static void raise_file_limit(void)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

int main(int argc, char **argv)
{
    char text[2048];
    int print = parse(argc, argv);
    signal(SIGPIPE, SIG_IGN);
    started = now_ns();
    if (print) {
        next_message(&connections[0]);
        fwrite(text, 1, request(&connections[0], text, sizeof text), stdout);
        return 0;
    }
    raise_file_limit();
    epoll = epoll_create1(EPOLL_CLOEXEC);
    for (; alive < opt.connections; alive++) {
        struct connection *c = &connections[alive];
        if (open_connection(c))
            die(opt.endpoint);
        next_message(c);
        idle[idle_count++] = c;
    }
    run();
    report();
    return totals.errors ? 1 : 0;
}
