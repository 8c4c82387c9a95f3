/* Stands before the resolver of the server under test: a name that leads to 127.0.0.1, where it may
   go, when it is looked up the first, third, fifth time, and to 127.0.0.2, where it may not go, in
   between. Whoever looks twice for one call, to judge and then to connect, connects to the second. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <stdatomic.h>
#include <string.h>

typedef int lookup(const char *, const char *, const struct addrinfo *, struct addrinfo **);

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                struct addrinfo **found)
{
    static atomic_uint times;
    lookup *real = (lookup *)dlsym(RTLD_NEXT, "getaddrinfo");
    if (name && strcmp(name, "turncoat.test") == 0)
        name = atomic_fetch_add(&times, 1) % 2 == 0 ? "127.0.0.1" : "127.0.0.2";
    return real(name, service, hints, found);
}
