/* Stands before the C library and lets the n-th call that concerns one directory go wrong.

   Every call of this process that names a path below the directory, or a descriptor of a file
   there, is counted: those of Python and those of Arrow alike. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

enum { COUNT, ONCE, FOR_GOOD, SHORT, HALF_THEN_FOR_GOOD, CRASH_BEFORE, CRASH_HALFWAY };

static char below[4096];
static int mode, error;
static long at, calls;
static __thread int inside;

void faults_arm(const char *directory, long n, int how, int number) {
    snprintf(below, sizeof below, "%s/", directory);
    at = n, mode = how, error = number, calls = 0;
}

long faults_disarm(void) {
    below[0] = 0;
    return calls;
}

static int concerns(const char *path) {
    return below[0] && !inside && path && !strncmp(path, below, strlen(below));
}

static int concerns_open(int handle) {
    char link[64], path[4096];
    if (!below[0] || inside) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", handle);
    inside = 1;
    ssize_t length = readlink(link, path, sizeof path - 1);
    inside = 0;
    if (length < 0) return 0;
    path[length] = 0;
    return concerns(path);
}

/* Returns whether this call is to fail; does not return from a crash. */
static int fails(void) {
    long number = ++calls;
    if (mode == CRASH_BEFORE && number == at) _exit(70);
    int now = mode == ONCE ? number == at
            : mode == FOR_GOOD ? number >= at
            : mode == HALF_THEN_FOR_GOOD ? number > at : 0;
    if (now) errno = error;
    return now;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* Writes all, nothing, or half of it. */
#define WRITING(name, parameters, whole, half)                                  \
    ssize_t name parameters {                                                   \
        if (!concerns_open(handle)) return whole;                               \
        if (fails()) return -1;                                                 \
        int here = calls == at && size > 1;                                     \
        if (here && (mode == SHORT || mode == HALF_THEN_FOR_GOOD)) return half; \
        if (calls == at && mode == CRASH_HALFWAY) {                             \
            (void)!half;                                                        \
            _exit(70);                                                          \
        }                                                                       \
        return whole;                                                           \
    }

WRITING(write, (int handle, const void *data, size_t size),
        REAL(write)(handle, data, size), REAL(write)(handle, data, size / 2))
WRITING(pwrite64, (int handle, const void *data, size_t size, off64_t place),
        REAL(pwrite64)(handle, data, size, place), REAL(pwrite64)(handle, data, size / 2, place))
WRITING(sendfile64, (int handle, int from, off64_t *place, size_t size),
        REAL(sendfile64)(handle, from, place, size), REAL(sendfile64)(handle, from, place, size / 2))
WRITING(sendfile, (int handle, int from, off_t *place, size_t size),
        REAL(sendfile)(handle, from, place, size), REAL(sendfile)(handle, from, place, size / 2))
WRITING(read, (int handle, void *data, size_t size),
        REAL(read)(handle, data, size), REAL(read)(handle, data, size / 2))

#define NAMED(name, path, parameters, arguments)                            \
    int name parameters {                                                   \
        if (concerns(path) && fails()) return -1;                           \
        int answer = REAL(name) arguments;                                  \
        if (concerns(path) && calls == at && mode == CRASH_HALFWAY) _exit(70); \
        return answer;                                                      \
    }

NAMED(mkdir, path, (const char *path, mode_t how), (path, how))
NAMED(rename, to, (const char *from, const char *to), (from, to))
NAMED(chmod, path, (const char *path, mode_t how), (path, how))
NAMED(unlink, path, (const char *path), (path))
NAMED(rmdir, path, (const char *path), (path))
NAMED(stat, path, (const char *restrict path, struct stat *restrict into), (path, into))
NAMED(lstat, path, (const char *restrict path, struct stat *restrict into), (path, into))
NAMED(stat64, path, (const char *restrict path, struct stat64 *restrict into), (path, into))
NAMED(lstat64, path, (const char *restrict path, struct stat64 *restrict into), (path, into))

#define OPEN(name)                                                          \
    int name(const char *path, int flags, ...) {                            \
        va_list more;                                                       \
        va_start(more, flags);                                              \
        mode_t how = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0; \
        va_end(more);                                                       \
        if (concerns(path) && fails()) return -1;                           \
        int answer = REAL(name)(path, flags, how);                          \
        if (concerns(path) && calls == at && mode == CRASH_HALFWAY) _exit(70); \
        return answer;                                                      \
    }

OPEN(open)
OPEN(open64)

#define SETTLING(name)                                  \
    int name(int handle) {                              \
        if (concerns_open(handle) && fails()) return -1; \
        return REAL(name)(handle);                      \
    }

SETTLING(fsync)
SETTLING(fdatasync)

int close(int handle) {  /* what fails to close is closed all the same */
    int failing = concerns_open(handle) && fails();
    int number = errno, answer = REAL(close)(handle);
    if (!failing) return answer;
    errno = number;
    return -1;
}
