/* A layer between a process and the C library, loaded by LD_PRELOAD. It counts the file operations below one folder,
   and at the n-th of them kills the process or returns an error of a disk; and it can shift the clock. Until it is
   armed, by `torture_arm`, `torture_clock` or the variable TORTURE_SHIM, it changes nothing. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum kind { WRITE = 1, RENAME = 2, SYNC = 4, UNLINK = 8, MKDIR = 16, OPEN = 32, CHANGE = 64 };
enum { NOTED = 4000 }; /* operations whose kind is noted in the shared page */
enum action { COUNT, KILL, HALF, FAIL, ONCE };

static char root[PATH_MAX];
static char jail[PATH_MAX]; /* the only folder that may change; "": no limit */
static int armed;
static long at;
static int action, error_number, kinds;
static _Atomic long own_counter, *counter = &own_counter;

static long clock_period; /* readings of the clock between two jumps; 0: no jumps */
static unsigned long clock_seed;
static long clock_span;
static _Atomic long clock_calls;

void torture_arm(const char *folder, long n, int what, int error, int which, long *shared) {
    strncpy(root, folder, sizeof root - 1);
    at = n;
    action = what;
    error_number = error;
    kinds = which;
    counter = shared ? (_Atomic long *)shared : &own_counter;
    *counter = 0;
    armed = 1;
}

void torture_confine(const char *folder) { strncpy(jail, folder, sizeof jail - 1); }

void torture_clock(long period, long span, unsigned long seed) {
    clock_calls = 0;
    clock_span = span;
    clock_seed = seed;
    clock_period = period;
}

__attribute__((constructor)) static void arm_by_environment(void) {
    const char *text = getenv("TORTURE_SHIM"); /* "N ACTION ERROR KINDS FOLDER" */
    int what, error, which, used = 0;
    long n;
    if (text && sscanf(text, "%ld %d %d %d %n", &n, &what, &error, &which, &used) == 4 && used)
        torture_arm(text + used, n, what, error, which, NULL);
    if (getenv("TORTURE_JAIL"))
        torture_confine(getenv("TORTURE_JAIL"));
}

/* The path as it would be without '.', '..' and links, from the root. */
static int absolute(const char *path, char whole[2 * PATH_MAX]) {
    char joined[2 * PATH_MAX], *part, *rest = joined, *end = whole;
    joined[0] = 0;
    if (!path || strlen(path) >= PATH_MAX || (path[0] != '/' && !getcwd(joined, PATH_MAX)))
        return 0;
    strcat(joined, "/");
    strcat(joined, path);
    while ((part = strtok_r(rest, "/", &rest))) {
        if (strcmp(part, ".") == 0)
            continue;
        if (strcmp(part, "..") == 0) {
            while (end > whole && *--end != '/')
                ;
            continue;
        }
        *end++ = '/';
        end = stpcpy(end, part);
    }
    *end = 0;
    return 1;
}

static int starts_with(const char *path, const char *folder) { return strncmp(path, folder, strlen(folder)) == 0; }

/* Whether this process may change a path: it lies in the jail, or is a device such as /dev/null. */
static int is_open_to_us(const char *path) {
    return !jail[0] || starts_with(path, jail) || starts_with(path, "/proc/self/") || strcmp(path, "/dev/null") == 0 ||
           strcmp(path, "/dev/full") == 0 || strcmp(path, "/dev/tty") == 0;
}

static void die(void) {
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

/* Notes the kind of the n-th operation, for a parent that shares the page. */
static void note(long n, enum kind kind) {
    if (counter != &own_counter && n < NOTED)
        ((unsigned char *)(counter + 1))[n] = (unsigned char)kind;
}

/* The fate of an operation: 0: it is done, 1: it fails with errno, 2: half of it is done. */
static int judged(enum kind kind) {
    long n;
    if (action == FAIL || action == ONCE) {
        if (!(kinds & kind))
            return 0;
        n = ++*counter;
        if (action == ONCE ? n != at : n < at)
            return 0;
        if (n == at && kind == WRITE && error_number == ENOSPC)
            return 2;
        errno = error_number;
        return 1;
    }
    n = ++*counter;
    note(n, kind);
    if (n != at)
        return 0;
    if (action == KILL)
        die();
    return action == HALF ? 2 : 0;
}

static int path_verdict(const char *path, enum kind kind) {
    char whole[2 * PATH_MAX];
    if ((!armed && !jail[0]) || !absolute(path, whole))
        return 0;
    if (!is_open_to_us(whole)) {
        errno = EROFS;
        return 1;
    }
    return armed && starts_with(whole, root) ? judged(kind) : 0;
}

static int file_verdict(int file, enum kind kind) {
    char link[64], path[PATH_MAX];
    ssize_t length;
    if (!armed)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return 0;
    path[length] = 0;
    return starts_with(path, root) ? judged(kind) : 0;
}

/* The C library's own function of that name. */
#define NEXT(name)                                                                                                     \
    ({                                                                                                                 \
        static __typeof__(&name) next;                                                                                 \
        if (!next)                                                                                                     \
            next = (__typeof__(&name))dlsym(RTLD_NEXT, #name);                                                         \
        next;                                                                                                          \
    })

/* An operation without a half: HALF does all of it, and kills the process afterwards. */
#define WHOLE(judgement, call)                                                                                         \
    int verdict = (judgement);                                                                                         \
    if (verdict == 1)                                                                                                  \
        return -1;                                                                                                     \
    __typeof__(call) result = call;                                                                                    \
    if (verdict == 2 && action == HALF)                                                                                \
        die();                                                                                                         \
    return result

#define PART(file, call, half)                                                                                         \
    int verdict = file_verdict(file, WRITE);                                                                           \
    if (verdict == 1)                                                                                                  \
        return -1;                                                                                                     \
    if (verdict == 2) {                                                                                                \
        ssize_t result = half;                                                                                         \
        if (action == HALF)                                                                                            \
            die();                                                                                                     \
        return result;                                                                                                 \
    }                                                                                                                  \
    return call

ssize_t write(int file, const void *bytes, size_t size) {
    PART(file, NEXT(write)(file, bytes, size), NEXT(write)(file, bytes, (size + 1) / 2));
}
ssize_t pwrite64(int file, const void *bytes, size_t size, off64_t place) {
    PART(file, NEXT(pwrite64)(file, bytes, size, place),
         NEXT(pwrite64)(file, bytes, (size + 1) / 2, place));
}
ssize_t writev(int file, const struct iovec *parts, int count) {
    PART(file, NEXT(writev)(file, parts, count), NEXT(writev)(file, parts, (count + 1) / 2));
}
int fsync(int file) { WHOLE(file_verdict(file, SYNC), NEXT(fsync)(file)); }
int fdatasync(int file) { WHOLE(file_verdict(file, SYNC), NEXT(fdatasync)(file)); }
int rename(const char *from, const char *to) { WHOLE(path_verdict(to, RENAME), NEXT(rename)(from, to)); }
int renameat(int a, const char *from, int b, const char *to) {
    WHOLE(path_verdict(to, RENAME), NEXT(renameat)(a, from, b, to));
}
int link(const char *from, const char *to) { WHOLE(path_verdict(to, RENAME), NEXT(link)(from, to)); }
int symlink(const char *from, const char *to) { WHOLE(path_verdict(to, RENAME), NEXT(symlink)(from, to)); }
int unlink(const char *path) { WHOLE(path_verdict(path, UNLINK), NEXT(unlink)(path)); }
int unlinkat(int at_, const char *path, int flags) { WHOLE(path_verdict(path, UNLINK), NEXT(unlinkat)(at_, path, flags)); }
int rmdir(const char *path) { WHOLE(path_verdict(path, UNLINK), NEXT(rmdir)(path)); }
int mkdir(const char *path, mode_t mode) { WHOLE(path_verdict(path, MKDIR), NEXT(mkdir)(path, mode)); }
int mkdirat(int at_, const char *path, mode_t mode) { WHOLE(path_verdict(path, MKDIR), NEXT(mkdirat)(at_, path, mode)); }
int chmod(const char *path, mode_t mode) { WHOLE(path_verdict(path, CHANGE), NEXT(chmod)(path, mode)); }
int fchmod(int file, mode_t mode) { WHOLE(file_verdict(file, CHANGE), NEXT(fchmod)(file, mode)); }
int fchmodat(int at_, const char *path, mode_t mode, int flags) {
    WHOLE(path_verdict(path, CHANGE), NEXT(fchmodat)(at_, path, mode, flags));
}
int ftruncate64(int file, off64_t size) { WHOLE(file_verdict(file, CHANGE), NEXT(ftruncate64)(file, size)); }

#define MODE(flags, last)                                                                                              \
    mode_t mode = 0;                                                                                                   \
    if ((flags) & (O_CREAT | O_TMPFILE)) {                                                                             \
        va_list more;                                                                                                  \
        va_start(more, last);                                                                                          \
        mode = va_arg(more, mode_t);                                                                                   \
        va_end(more);                                                                                                  \
    }
#define WRITES(flags) ((flags) & (O_WRONLY | O_RDWR | O_CREAT))

int open(const char *path, int flags, ...) {
    MODE(flags, flags)
    WHOLE(WRITES(flags) ? path_verdict(path, OPEN) : 0, NEXT(open)(path, flags, mode));
}
int open64(const char *path, int flags, ...) {
    MODE(flags, flags)
    WHOLE(WRITES(flags) ? path_verdict(path, OPEN) : 0, NEXT(open64)(path, flags, mode));
}
int openat(int at_, const char *path, int flags, ...) {
    MODE(flags, flags)
    WHOLE(WRITES(flags) ? path_verdict(path, OPEN) : 0, NEXT(openat)(at_, path, flags, mode));
}
int openat64(int at_, const char *path, int flags, ...) {
    MODE(flags, flags)
    WHOLE(WRITES(flags) ? path_verdict(path, OPEN) : 0, NEXT(openat64)(at_, path, flags, mode));
}
FILE *fopen64(const char *path, const char *mode) {
    int verdict = mode && strpbrk(mode, "wa+") ? path_verdict(path, OPEN) : 0;
    FILE *file = verdict == 1 ? NULL : NEXT(fopen64)(path, mode);
    if (verdict == 2 && action == HALF)
        die();
    return file;
}

/* The seconds by which the clock is wrong, a new random number up to the span every `clock_period` readings. */
static long shift(void) {
    unsigned long mixed;
    if (!clock_period)
        return 0;
    mixed = (unsigned long)(++clock_calls / clock_period) * 6364136223846793005UL + clock_seed;
    mixed = (mixed ^ (mixed >> 29)) * 0xBF58476D1CE4E5B9UL;
    return (long)((mixed >> 33) % (2 * (unsigned long)clock_span + 1)) - clock_span;
}

int clock_gettime(clockid_t which, struct timespec *now) {
    int result = NEXT(clock_gettime)(which, now);
    if (result == 0 && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE))
        now->tv_sec += shift();
    return result;
}
int gettimeofday(struct timeval *now, void *zone) {
    int result = NEXT(gettimeofday)(now, zone);
    if (result == 0)
        now->tv_sec += shift();
    return result;
}
time_t time(time_t *place) {
    time_t now = NEXT(time)(NULL) + shift();
    if (place)
        *place = now;
    return now;
}
