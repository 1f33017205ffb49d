/* Connecting to unix:/path or host:port. */
#ifndef DIAL_H
#define DIAL_H

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

static int dial_unix(const char *path)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof at.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    strcpy(at.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return fd < 0 || connect(fd, (struct sockaddr *)&at, sizeof at) ? -1 : fd;
}

static int dial_tcp(const char *address)
{
    char host[256];
    const char *colon = strrchr(address, ':');
    if (!colon || (size_t)(colon - address) >= sizeof host)
        return errno = EINVAL, -1;
    snprintf(host, sizeof host, "%.*s", (int)(colon - address), address);
    char *name = host[0] == '[' ? host + 1 : host;
    name[strcspn(name, "]")] = 0;
    struct addrinfo want = {.ai_socktype = SOCK_STREAM}, *found;
    if (getaddrinfo(name, colon + 1, &want, &found))
        return errno = EHOSTUNREACH, -1;
    int one = 1, fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int failed = fd < 0 || connect(fd, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return failed ? -1 : fd;
}

/* Returns a connected socket, or -1 with errno set. */
static int dial(const char *endpoint)
{
    return strncmp(endpoint, "unix:", 5) ? dial_tcp(endpoint) : dial_unix(endpoint + 5);
}

#endif
