/* Records the calls by which a process changes files, and makes chosen ones fail. Loaded by LD_PRELOAD, so that the
   sqlite3 module and the interpreter are the real ones; see syscalls.py. Only files below FAULTS_DIRECTORY count. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))real(#name))
#define EXPORT __attribute__((visibility("default")))
#define DESCRIPTORS 4096

enum operation { READ, WRITE, SYNC, DIRSYNC, TRUNCATE, MAP, LOCK, OPEN, UNLINK, STAT, RENAME };

struct header {
    char kind, failed;
    int16_t unused;
    int32_t text;
    int64_t inode, offset, data;
};

static const char *root;
static size_t root_length;
static int trace = -1;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static char *names[DESCRIPTORS]; /* of descriptors, where they are below the root */

static unsigned counted, failing_later; /* sets of operations */
static long nth, seen, fired, calls[RENAME + 1];
static int error; /* negative: half of a write is done before it fails */
static char only[64]; /* the end of the names of files that count; "" is all */

static void *real(const char *name) {
    return dlsym(RTLD_NEXT, name);
}

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("FAULTS_TRACE");
    root = getenv("FAULTS_DIRECTORY");
    root_length = root ? strlen(root) : 0;
    if (path && root)
        trace = REAL(open)(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
}

static int is_ours(const char *path) {
    return root && path && !strncmp(path, root, root_length) && (!path[root_length] || path[root_length] == '/');
}

static const char *name_of(int descriptor) {
    return descriptor >= 0 && descriptor < DESCRIPTORS ? names[descriptor] : NULL;
}

static void name(int descriptor, const char *path) {
    if (descriptor < 0 || descriptor >= DESCRIPTORS)
        return;
    free(names[descriptor]);
    names[descriptor] = path ? strdup(path) : NULL;
}

static int64_t inode_of(int descriptor) {
    struct stat status;
    return REAL(fstat)(descriptor, &status) ? -1 : (int64_t)status.st_ino;
}

/* What is between lock() and unlock() happens at one point of the order of all processes. */
static void lock(void) {
    if (trace < 0)
        return;
    pthread_mutex_lock(&mutex);
    flock(trace, LOCK_EX);
}

static void unlock(void) {
    int kept = errno;
    if (trace >= 0) {
        flock(trace, LOCK_UN);
        pthread_mutex_unlock(&mutex);
    }
    errno = kept;
}

static void put(char kind, int failed, int64_t inode, int64_t offset, const char *text, const void *data, size_t size) {
    int kept = errno;
    struct header header = {kind, (char)failed, 0, text ? (int32_t)strlen(text) : 0, inode, offset, data ? (int64_t)size : 0};
    struct iovec parts[3] = {{&header, sizeof header}, {(void *)text, (size_t)header.text}, {(void *)data, (size_t)header.data}};
    if (trace >= 0 && REAL(writev)(trace, parts, 3) != (ssize_t)(sizeof header + (size_t)header.text + (size_t)header.data))
        abort(); /* half a record would be read as a wrong one */
    errno = kept;
}

static int fails(enum operation operation, const char *path) {
    unsigned bit = 1u << operation;
    size_t length = strlen(only), whole = strlen(path);
    __atomic_add_fetch(&calls[operation], 1, __ATOMIC_SEQ_CST);
    if (!((counted | failing_later) & bit))
        return 0;
    if (length && (whole < length || strcmp(path + whole - length, only)))
        return 0;
    long number = counted & bit ? __atomic_add_fetch(&seen, 1, __ATOMIC_SEQ_CST) : __atomic_load_n(&seen, __ATOMIC_SEQ_CST);
    int hit = counted & bit ? number == nth : 0;
    if (!hit && !(number >= nth && __atomic_load_n(&fired, __ATOMIC_SEQ_CST) && failing_later & bit))
        return 0;
    __atomic_add_fetch(&fired, 1, __ATOMIC_SEQ_CST);
    errno = error < 0 ? -error : error;
    return 1;
}

/* -- for the tests */

EXPORT void faults_note(const char *text) {
    lock();
    put('n', 0, 0, getpid(), text, NULL, 0);
    unlock();
}

/* Fail the `number`-th operation of the set `which` with `code`, and from then on each one of the set `later`. */
EXPORT void faults_arm(unsigned which, long number, int code, unsigned later, const char *suffix) {
    counted = 0;
    failing_later = 0;
    seen = fired = 0;
    memset(calls, 0, sizeof calls);
    nth = number;
    error = code;
    strncpy(only, suffix, sizeof only - 1);
    failing_later = later;
    counted = which;
}

EXPORT long faults_fired(void) { return fired; }

EXPORT long faults_calls(unsigned operation) { return calls[operation]; }

/* -- calls */

static int opened(int directory, const char *path, int flags, mode_t mode) {
    if (!is_ours(path))
        return REAL(openat)(directory, path, flags, mode);
    if (fails(OPEN, path))
        return -1;
    lock();
    int is_new = flags & O_CREAT && REAL(access)(path, F_OK);
    int descriptor = REAL(openat)(directory, path, flags, mode);
    if (descriptor >= 0) {
        name(descriptor, path);
        if (is_new)
            put('c', 0, inode_of(descriptor), 0, path, NULL, 0);
        else if (flags & O_TRUNC)
            put('t', 0, inode_of(descriptor), 0, path, NULL, 0);
    }
    unlock();
    return descriptor;
}

#define MODE(flags, mode) \
    mode_t mode = 0; \
    if (flags & (O_CREAT | __O_TMPFILE)) { \
        va_list rest; \
        va_start(rest, flags); \
        mode = va_arg(rest, mode_t); \
        va_end(rest); \
    }

EXPORT int open(const char *path, int flags, ...) { MODE(flags, mode) return opened(AT_FDCWD, path, flags, mode); }
EXPORT int open64(const char *path, int flags, ...) { MODE(flags, mode) return opened(AT_FDCWD, path, flags, mode); }
EXPORT int openat(int at, const char *path, int flags, ...) { MODE(flags, mode) return opened(at, path, flags, mode); }
EXPORT int openat64(int at, const char *path, int flags, ...) { MODE(flags, mode) return opened(at, path, flags, mode); }

EXPORT int close(int descriptor) {
    if (name_of(descriptor))
        name(descriptor, NULL);
    return REAL(close)(descriptor);
}

static ssize_t written(int descriptor, const void *bytes, size_t size, off_t offset) {
    const char *path = name_of(descriptor);
    int failed = fails(WRITE, path), code = errno;
    if (failed && error > 0)
        return -1;
    lock();
    ssize_t done = REAL(pwrite)(descriptor, bytes, failed ? size / 2 : size, offset);
    if (done > 0)
        put('w', 0, inode_of(descriptor), offset, path, bytes, (size_t)done);
    unlock();
    if (failed) {
        errno = code;
        return -1;
    }
    return done;
}

EXPORT ssize_t pwrite(int descriptor, const void *bytes, size_t size, off_t offset) {
    return name_of(descriptor) ? written(descriptor, bytes, size, offset)
                               : REAL(pwrite)(descriptor, bytes, size, offset);
}

EXPORT ssize_t pwrite64(int descriptor, const void *bytes, size_t size, off64_t offset) {
    return pwrite(descriptor, bytes, size, offset);
}

EXPORT ssize_t write(int descriptor, const void *bytes, size_t size) {
    if (!name_of(descriptor))
        return REAL(write)(descriptor, bytes, size);
    ssize_t done = written(descriptor, bytes, size, lseek(descriptor, 0, SEEK_CUR));
    if (done > 0)
        lseek(descriptor, done, SEEK_CUR);
    return done;
}

EXPORT ssize_t pread(int descriptor, void *bytes, size_t size, off_t offset) {
    return name_of(descriptor) && fails(READ, name_of(descriptor)) ? -1 : REAL(pread)(descriptor, bytes, size, offset);
}

EXPORT ssize_t pread64(int descriptor, void *bytes, size_t size, off64_t offset) {
    return pread(descriptor, bytes, size, offset);
}

EXPORT ssize_t read(int descriptor, void *bytes, size_t size) {
    return name_of(descriptor) && fails(READ, name_of(descriptor)) ? -1 : REAL(read)(descriptor, bytes, size);
}

EXPORT int ftruncate(int descriptor, off_t size) {
    const char *path = name_of(descriptor);
    if (!path)
        return REAL(ftruncate)(descriptor, size);
    if (fails(TRUNCATE, path))
        return -1;
    lock();
    int result = REAL(ftruncate)(descriptor, size);
    if (!result)
        put('t', 0, inode_of(descriptor), size, path, NULL, 0);
    unlock();
    return result;
}

EXPORT int ftruncate64(int descriptor, off64_t size) { return ftruncate(descriptor, size); }

static int synced(int descriptor, int data_only) {
    struct stat status;
    const char *path = name_of(descriptor);
    if (!path)
        return data_only ? REAL(fdatasync)(descriptor) : REAL(fsync)(descriptor);
    int is_directory = !REAL(fstat)(descriptor, &status) && S_ISDIR(status.st_mode);
    lock();
    int failed = fails(is_directory ? DIRSYNC : SYNC, path), code = errno;
    /* Of the order of writes and syncs, which is what is recorded, a real sync would change nothing but the time. */
    put(is_directory ? 'd' : 's', failed, (int64_t)status.st_ino, 0, path, NULL, 0);
    unlock();
    errno = code;
    return failed ? -1 : 0;
}

EXPORT int fsync(int descriptor) { return synced(descriptor, 0); }
EXPORT int fdatasync(int descriptor) { return synced(descriptor, 1); }

EXPORT void *mmap(void *at, size_t size, int protection, int flags, int descriptor, off_t offset) {
    if (name_of(descriptor) && fails(MAP, name_of(descriptor)))
        return MAP_FAILED;
    return REAL(mmap)(at, size, protection, flags, descriptor, offset);
}

EXPORT void *mmap64(void *at, size_t size, int protection, int flags, int descriptor, off64_t offset) {
    return mmap(at, size, protection, flags, descriptor, offset);
}

EXPORT int fcntl64(int descriptor, int command, ...) {
    va_list rest;
    va_start(rest, command);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    int is_lock = command == F_SETLK || command == F_SETLKW || command == F_GETLK;
    if (is_lock && name_of(descriptor)) {
        struct flock *asked = argument;
        if ((command == F_GETLK || asked->l_type != F_UNLCK) && fails(LOCK, name_of(descriptor)))
            return -1;
    }
    int result = REAL(fcntl64)(descriptor, command, argument);
    if (command == F_DUPFD_CLOEXEC && result >= 0 && name_of(descriptor))
        name(result, name_of(descriptor));
    return result;
}

EXPORT int fcntl(int descriptor, int command, ...) {
    va_list rest;
    va_start(rest, command);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    return fcntl64(descriptor, command, argument);
}

EXPORT int unlink(const char *path) {
    if (!is_ours(path))
        return REAL(unlink)(path);
    if (fails(UNLINK, path))
        return -1;
    lock();
    int result = REAL(unlink)(path);
    if (!result)
        put('u', 0, 0, 0, path, NULL, 0);
    unlock();
    return result;
}

EXPORT int rename(const char *from, const char *to) {
    if (!is_ours(from))
        return REAL(rename)(from, to);
    if (fails(RENAME, from))
        return -1;
    lock();
    int result = REAL(rename)(from, to);
    if (!result)
        put('r', 0, 0, 0, from, to, strlen(to));
    unlock();
    return result;
}

EXPORT int fstat(int descriptor, struct stat *status) {
    return name_of(descriptor) && fails(STAT, name_of(descriptor)) ? -1 : REAL(fstat)(descriptor, status);
}

EXPORT int fstat64(int descriptor, struct stat64 *status) {
    return name_of(descriptor) && fails(STAT, name_of(descriptor)) ? -1 : REAL(fstat64)(descriptor, status);
}

EXPORT int stat64(const char *path, struct stat64 *status) {
    return is_ours(path) && fails(STAT, path) ? -1 : REAL(stat64)(path, status);
}

EXPORT int lstat64(const char *path, struct stat64 *status) {
    return is_ours(path) && fails(STAT, path) ? -1 : REAL(lstat64)(path, status);
}
