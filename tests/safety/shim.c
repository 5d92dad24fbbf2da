/* One system call of a process fails, or is its last: preloaded by tests/safety/faults.py.
 *
 * Only calls on files below the armed folder count, by path or by what /proc says a descriptor is. The counter is one
 * for all threads. Nothing here but raw system calls, so that no counted call comes from the counting.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static char zone[512];
static size_t zone_length;
static int armed, fails_with, killed_by, log_fd = -1;
static long at, many, counter;

void fault_arm(const char *folder, long number, long count, int error, int number_of_signal, int log) {
    strncpy(zone, folder, sizeof zone - 1);
    zone_length = strlen(zone);
    at = number, many = count, fails_with = error, killed_by = number_of_signal, log_fd = log, counter = 0;
    armed = 1;
}

long fault_disarm(void) {
    armed = 0;
    return counter;
}

static int inside(const char *path) { return path && strncmp(path, zone, zone_length) == 0; }

static const char *of_descriptor(int fd, char *buffer, size_t size) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    long length = syscall(SYS_readlinkat, AT_FDCWD, link, buffer, size - 1);
    buffer[length < 0 ? 0 : length] = 0;
    return buffer;
}

/* Whether this call fails; with a signal, the process ends before the call is made. */
static int strikes(const char *name, const char *path) {
    long mine = __atomic_add_fetch(&counter, 1, __ATOMIC_SEQ_CST);
    if (log_fd >= 0) {
        char line[1200];
        int length = snprintf(line, sizeof line, "%s\t%s\n", name, path);
        syscall(SYS_write, log_fd, line, (size_t)length);
    }
    if (mine < at || mine >= at + many) return 0;
    if (killed_by) {
        syscall(SYS_kill, syscall(SYS_getpid), killed_by);
        return 0;
    }
    errno = fails_with;
    return 1;
}

static int by_path(const char *name, int folder, const char *path) {
    char buffer[600], whole[1200];
    if (!armed || !path) return 0;
    if (path[0] == '/') return inside(path) && strikes(name, path);
    if (folder == AT_FDCWD || !inside(of_descriptor(folder, buffer, sizeof buffer))) return 0;
    snprintf(whole, sizeof whole, "%s/%s", buffer, path);
    return strikes(name, whole);
}

static int by_descriptor(const char *name, int fd) {
    char buffer[600];
    return armed && fd >= 0 && inside(of_descriptor(fd, buffer, sizeof buffer)) && strikes(name, buffer);
}

#define REAL(name) \
    static __typeof__(&name) real; \
    if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        va_list rest; \
        va_start(rest, flags); \
        mode_t mode = va_arg(rest, mode_t); \
        va_end(rest); \
        REAL(name); \
        return by_path("open", AT_FDCWD, path) ? -1 : real(path, flags, mode); \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name) \
    int name(int folder, const char *path, int flags, ...) { \
        va_list rest; \
        va_start(rest, flags); \
        mode_t mode = va_arg(rest, mode_t); \
        va_end(rest); \
        REAL(name); \
        return by_path("open", folder, path) ? -1 : real(folder, path, flags, mode); \
    }
OPENAT(openat)
OPENAT(openat64)

#define WRAP(kind, name, label, failure, parameters, arguments, where) \
    kind name parameters { \
        REAL(name); \
        return where ? failure : real arguments; \
    }
#define FD(label, fd) by_descriptor(label, fd)
#define PATH(label, path) by_path(label, AT_FDCWD, path)

WRAP(ssize_t, read, "read", -1, (int fd, void *to, size_t size), (fd, to, size), FD("read", fd))
WRAP(ssize_t, pread, "read", -1, (int fd, void *to, size_t size, off_t from), (fd, to, size, from), FD("read", fd))
WRAP(ssize_t, pread64, "read", -1, (int fd, void *to, size_t size, off64_t from), (fd, to, size, from), FD("read", fd))
WRAP(ssize_t, write, "write", -1, (int fd, const void *data, size_t size), (fd, data, size), FD("write", fd))
WRAP(int, fsync, "fsync", -1, (int fd), (fd), FD("fsync", fd))
WRAP(int, flock, "flock", -1, (int fd, int how), (fd, how), FD("flock", fd))
WRAP(int, ftruncate, "truncate", -1, (int fd, off_t size), (fd, size), FD("truncate", fd))
WRAP(int, ftruncate64, "truncate", -1, (int fd, off64_t size), (fd, size), FD("truncate", fd))
WRAP(int, fstat, "stat", -1, (int fd, struct stat *to), (fd, to), FD("stat", fd))
WRAP(int, fstat64, "stat", -1, (int fd, struct stat64 *to), (fd, to), FD("stat", fd))
WRAP(DIR *, fdopendir, "list", NULL, (int fd), (fd), FD("list", fd))
WRAP(DIR *, opendir, "list", NULL, (const char *path), (path), PATH("list", path))
WRAP(int, stat, "stat", -1, (const char *path, struct stat *to), (path, to), PATH("stat", path))
WRAP(int, stat64, "stat", -1, (const char *path, struct stat64 *to), (path, to), PATH("stat", path))
WRAP(int, lstat, "stat", -1, (const char *path, struct stat *to), (path, to), PATH("stat", path))
WRAP(int, lstat64, "stat", -1, (const char *path, struct stat64 *to), (path, to), PATH("stat", path))
WRAP(int, mkdir, "mkdir", -1, (const char *path, mode_t mode), (path, mode), PATH("mkdir", path))
WRAP(int, rmdir, "remove", -1, (const char *path), (path), PATH("remove", path))
WRAP(int, unlink, "remove", -1, (const char *path), (path), PATH("remove", path))
WRAP(int, rename, "rename", -1, (const char *from, const char *to), (from, to), PATH("rename", from))
WRAP(int, unlinkat, "remove", -1, (int folder, const char *path, int how), (folder, path, how),
     by_path("remove", folder, path))
WRAP(int, fstatat, "stat", -1, (int folder, const char *path, struct stat *to, int how), (folder, path, to, how),
     by_path("stat", folder, path))
WRAP(int, fstatat64, "stat", -1, (int folder, const char *path, struct stat64 *to, int how), (folder, path, to, how),
     by_path("stat", folder, path))
WRAP(int, statx, "stat", -1, (int folder, const char *path, int how, unsigned mask, struct statx *to),
     (folder, path, how, mask, to), by_path("stat", folder, path))
WRAP(void *, mmap, "mmap", MAP_FAILED, (void *at_address, size_t size, int kind, int flags, int fd, off_t from),
     (at_address, size, kind, flags, fd, from), FD("mmap", fd))
WRAP(void *, mmap64, "mmap", MAP_FAILED, (void *at_address, size_t size, int kind, int flags, int fd, off64_t from),
     (at_address, size, kind, flags, fd, from), FD("mmap", fd))

/* A close that fails has closed all the same. */
int close(int fd) {
    REAL(close);
    int struck = by_descriptor("close", fd), error = errno, result = real(fd);
    if (!struck) return result;
    errno = error;
    return -1;
}
