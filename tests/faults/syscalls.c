/* Records the calls by which a process changes files, and makes chosen ones fail. Loaded by LD_PRELOAD, so that the
   sqlite3 module and the interpreter are the real ones; see syscalls.py. Only files below FAULTS_DIRECTORY count. */

#include "syscalls.h"

#include <fnmatch.h>
#include <pthread.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

#define DESCRIPTORS 4096
#define SIGNALLED 1000 /* an error from here on is a signal */
#define COPIED (1 << 20) /* bytes of one call that copies between files, which may always do less than it was asked */

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
static long nth, seen, fired, calls[OPERATIONS];
static int error; /* negative: half of a write is done before it fails */
static char only[128]; /* a pattern of the paths that count; "" is all */

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("FAULTS_TRACE");
    root = getenv("FAULTS_DIRECTORY");
    root_length = root ? strlen(root) : 0;
    if (path && root)
        trace = REAL(open)(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
}

int is_ours(const char *path) {
    return root && path && !strncmp(path, root, root_length) && (!path[root_length] || path[root_length] == '/');
}

const char *below_root(const char *path) {
    return path[root_length] ? path + root_length + 1 : "";
}

const char *absolute(int at, const char *path, char *whole) {
    const char *folder = name_of(at);
    int descriptor, end = 0;
    if (!path)
        return NULL;
    if (sscanf(path, "/proc/self/fd/%d%n", &descriptor, &end) == 1 && !path[end])
        return name_of(descriptor) ? name_of(descriptor) : path;
    if (path[0] == '/' || !folder)
        return path;
    if (!path[0] || !strcmp(path, "."))
        return folder;
    snprintf(whole, PATH_MAX, "%s/%s", folder, path);
    return whole;
}

const char *name_of(int descriptor) {
    return descriptor >= 0 && descriptor < DESCRIPTORS ? names[descriptor] : NULL;
}

void name(int descriptor, const char *path) {
    if (descriptor < 0 || descriptor >= DESCRIPTORS)
        return;
    char *old = names[descriptor];
    names[descriptor] = path ? strdup(path) : NULL;
    free(old);
}

int64_t inode_of(int descriptor) {
    struct stat status;
    return REAL(fstat)(descriptor, &status) ? -1 : (int64_t)status.st_ino;
}

int is_recording(void) {
    return trace >= 0;
}

void lock(void) {
    if (trace < 0)
        return;
    pthread_mutex_lock(&mutex);
    REAL(flock)(trace, LOCK_EX);
}

void unlock(void) {
    int kept = errno;
    if (trace >= 0) {
        REAL(flock)(trace, LOCK_UN);
        pthread_mutex_unlock(&mutex);
    }
    errno = kept;
}

static void write_record(char kind, int failed, int64_t inode, int64_t offset, const char *text, const void *data, size_t size) {
    int kept = errno;
    struct header header = {kind, (char)failed, 0, (int32_t)strlen(text), inode, offset, data ? (int64_t)size : 0};
    struct iovec parts[3] = {{&header, sizeof header}, {(void *)text, (size_t)header.text}, {(void *)data, (size_t)header.data}};
    if (trace >= 0 && REAL(writev)(trace, parts, 3) != (ssize_t)(sizeof header + (size_t)header.text + (size_t)header.data))
        refuse("half a record"); /* would be read as a wrong one */
    errno = kept;
}

void put(char kind, int failed, int64_t inode, int64_t offset, const char *path, const void *data, size_t size) {
    write_record(kind, failed, inode, offset, below_root(path), data, size);
}

void refuse(const char *what) {
    fprintf(stderr, "the recorder of system calls cannot record this: %s\n", what);
    abort();
}

int fails(enum operation operation, const char *path) {
    unsigned bit = 1u << operation;
    __atomic_add_fetch(&calls[operation], 1, __ATOMIC_SEQ_CST);
    if (!((counted | failing_later) & bit))
        return 0;
    if (*only && fnmatch(only, path, 0))
        return 0;
    long number = counted & bit ? __atomic_add_fetch(&seen, 1, __ATOMIC_SEQ_CST) : __atomic_load_n(&seen, __ATOMIC_SEQ_CST);
    int hit = counted & bit ? number == nth : 0;
    if (!hit && !(number >= nth && __atomic_load_n(&fired, __ATOMIC_SEQ_CST) && failing_later & bit))
        return 0;
    __atomic_add_fetch(&fired, 1, __ATOMIC_SEQ_CST);
    if (error >= SIGNALLED) { /* the process is stopped or killed just before the call, which then does its work */
        kill(getpid(), error - SIGNALLED);
        return 0;
    }
    errno = error < 0 ? -error : error;
    return 1;
}

/* -- for the tests */

EXPORT void faults_note(const char *text) {
    lock();
    write_record('n', 0, 0, getpid(), text, NULL, 0);
    unlock();
}

/* Fail the `number`-th operation of the set `which` with `code`, and from then on each one of the set `later`. */
EXPORT void faults_arm(unsigned which, long number, int code, unsigned later, const char *pattern) {
    counted = 0;
    failing_later = 0;
    seen = fired = 0;
    memset(calls, 0, sizeof calls);
    nth = number;
    error = code;
    strncpy(only, pattern, sizeof only - 1);
    failing_later = later;
    counted = which;
}

EXPORT long faults_fired(void) { return fired; }

/* How many calls have counted so far. */
EXPORT long faults_seen(void) { return seen; }

EXPORT long faults_calls(unsigned operation) { return calls[operation]; }

/* -- descriptors */

EXPORT int close(int descriptor) {
    if (name_of(descriptor))
        name(descriptor, NULL);
    return REAL(close)(descriptor);
}

static int doubled(int descriptor, int copy) {
    if (copy >= 0 && copy != descriptor && (name_of(descriptor) || name_of(copy)))
        name(copy, name_of(descriptor));
    return copy;
}

EXPORT int dup(int descriptor) { return doubled(descriptor, REAL(dup)(descriptor)); }
EXPORT int dup2(int descriptor, int copy) { return doubled(descriptor, REAL(dup2)(descriptor, copy)); }
EXPORT int dup3(int descriptor, int copy, int flags) { return doubled(descriptor, REAL(dup3)(descriptor, copy, flags)); }

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
    return command == F_DUPFD_CLOEXEC || command == F_DUPFD ? doubled(descriptor, result) : result;
}

EXPORT int fcntl(int descriptor, int command, ...) {
    va_list rest;
    va_start(rest, command);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    return fcntl64(descriptor, command, argument);
}

EXPORT int flock(int descriptor, int how) {
    if (name_of(descriptor) && !(how & LOCK_UN) && fails(LOCK, name_of(descriptor)))
        return -1;
    return REAL(flock)(descriptor, how);
}

/* -- content */

static ssize_t written(int descriptor, const void *bytes, size_t size, off_t offset) {
    const char *path = name_of(descriptor);
    int failed = fails(WRITE, path), code = errno;
    if (failed && error > 0)
        return -1;
    lock();
    if (REAL(fcntl64)(descriptor, F_GETFL) & O_APPEND) {
        struct stat status;
        offset = REAL(fstat)(descriptor, &status) ? offset : status.st_size;
    }
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

/* All parts of a write in one piece, which the caller frees; its size goes to `size`. */
static char *joined(const struct iovec *parts, int count, size_t *size) {
    *size = 0;
    for (int part = 0; part < count; part++)
        *size += parts[part].iov_len;
    char *whole = malloc(*size + 1), *end = whole;
    if (!whole)
        refuse("a write in parts, for want of memory");
    for (int part = 0; part < count; part++, end += parts[part - 1].iov_len)
        memcpy(end, parts[part].iov_base, parts[part].iov_len);
    return whole;
}

EXPORT ssize_t writev(int descriptor, const struct iovec *parts, int count) {
    if (!name_of(descriptor))
        return REAL(writev)(descriptor, parts, count);
    size_t size;
    char *whole = joined(parts, count, &size);
    ssize_t done = write(descriptor, whole, size);
    free(whole);
    return done;
}

EXPORT ssize_t pwritev(int descriptor, const struct iovec *parts, int count, off_t offset) {
    if (!name_of(descriptor))
        return REAL(pwritev)(descriptor, parts, count, offset);
    size_t size;
    char *whole = joined(parts, count, &size);
    ssize_t done = offset == -1 ? write(descriptor, whole, size) : written(descriptor, whole, size, offset);
    free(whole);
    return done;
}

EXPORT ssize_t pwritev64(int descriptor, const struct iovec *parts, int count, off64_t offset) {
    return pwritev(descriptor, parts, count, offset);
}

EXPORT ssize_t pwritev2(int descriptor, const struct iovec *parts, int count, off_t offset, int flags) {
    return name_of(descriptor) ? pwritev(descriptor, parts, count, offset)
                               : REAL(pwritev2)(descriptor, parts, count, offset, flags);
}

EXPORT ssize_t pwritev64v2(int descriptor, const struct iovec *parts, int count, off64_t offset, int flags) {
    return pwritev2(descriptor, parts, count, offset, flags);
}

/* Copy by reading and writing: what is shared with the source afterwards is no matter of crashes. */
static ssize_t copied(int from, off64_t *from_offset, int to, off64_t *to_offset, size_t size) {
    size_t wanted = size < COPIED ? size : COPIED;
    char *bytes = malloc(wanted + 1);
    if (!bytes)
        refuse("a copy, for want of memory");
    off64_t start = from_offset ? *from_offset : lseek(from, 0, SEEK_CUR);
    ssize_t done = REAL(pread)(from, bytes, wanted, start);
    if (done > 0)
        done = to_offset ? written(to, bytes, (size_t)done, *to_offset) : write(to, bytes, (size_t)done);
    if (done > 0 && to_offset)
        *to_offset += done;
    if (done > 0 && from_offset)
        *from_offset += done;
    else if (done > 0)
        lseek(from, done, SEEK_CUR);
    free(bytes);
    return done;
}

EXPORT ssize_t copy_file_range(int from, off64_t *from_offset, int to, off64_t *to_offset, size_t size, unsigned flags) {
    if (name_of(from) && fails(READ, name_of(from)))
        return -1;
    return name_of(to) ? copied(from, from_offset, to, to_offset, size)
                       : REAL(copy_file_range)(from, from_offset, to, to_offset, size, flags);
}

EXPORT ssize_t sendfile(int to, int from, off_t *offset, size_t size) {
    if (name_of(from) && fails(READ, name_of(from)))
        return -1;
    return name_of(to) ? copied(from, offset, to, NULL, size) : REAL(sendfile)(to, from, offset, size);
}

EXPORT ssize_t sendfile64(int to, int from, off64_t *offset, size_t size) { return sendfile(to, from, offset, size); }

EXPORT ssize_t pread(int descriptor, void *bytes, size_t size, off_t offset) {
    return name_of(descriptor) && fails(READ, name_of(descriptor)) ? -1 : REAL(pread)(descriptor, bytes, size, offset);
}

EXPORT ssize_t pread64(int descriptor, void *bytes, size_t size, off64_t offset) {
    return pread(descriptor, bytes, size, offset);
}

EXPORT ssize_t read(int descriptor, void *bytes, size_t size) {
    return name_of(descriptor) && fails(READ, name_of(descriptor)) ? -1 : REAL(read)(descriptor, bytes, size);
}

EXPORT ssize_t readv(int descriptor, const struct iovec *parts, int count) {
    return name_of(descriptor) && fails(READ, name_of(descriptor)) ? -1 : REAL(readv)(descriptor, parts, count);
}

EXPORT ssize_t preadv(int descriptor, const struct iovec *parts, int count, off_t offset) {
    return name_of(descriptor) && fails(READ, name_of(descriptor)) ? -1 : REAL(preadv)(descriptor, parts, count, offset);
}

EXPORT ssize_t preadv64(int descriptor, const struct iovec *parts, int count, off64_t offset) {
    return preadv(descriptor, parts, count, offset);
}

EXPORT ssize_t preadv2(int descriptor, const struct iovec *parts, int count, off_t offset, int flags) {
    return name_of(descriptor) && fails(READ, name_of(descriptor)) ? -1
                                                                   : REAL(preadv2)(descriptor, parts, count, offset, flags);
}

EXPORT ssize_t preadv64v2(int descriptor, const struct iovec *parts, int count, off64_t offset, int flags) {
    return preadv2(descriptor, parts, count, offset, flags);
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

/* Of the blocks that are given to a file only its size can be seen. */
static int reserved(int descriptor, off_t offset, off_t size) {
    const char *path = name_of(descriptor);
    struct stat status;
    if (fails(WRITE, path))
        return -1;
    lock();
    int result = REAL(fallocate)(descriptor, 0, offset, size);
    if (!result && !REAL(fstat)(descriptor, &status))
        put('t', 0, (int64_t)status.st_ino, status.st_size, path, NULL, 0);
    unlock();
    return result;
}

EXPORT int fallocate(int descriptor, int mode, off_t offset, off_t size) {
    if (!name_of(descriptor))
        return REAL(fallocate)(descriptor, mode, offset, size);
    if (mode && is_recording())
        refuse("fallocate with a mode");
    return reserved(descriptor, offset, size);
}

EXPORT int fallocate64(int descriptor, int mode, off64_t offset, off64_t size) {
    return fallocate(descriptor, mode, offset, size);
}

EXPORT int posix_fallocate(int descriptor, off_t offset, off_t size) {
    if (!name_of(descriptor))
        return REAL(posix_fallocate)(descriptor, offset, size);
    return reserved(descriptor, offset, size) ? errno : 0;
}

EXPORT int posix_fallocate64(int descriptor, off64_t offset, off64_t size) {
    return posix_fallocate(descriptor, offset, size);
}

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

static int ends_with(const char *path, const char *end) {
    size_t length = strlen(path), wanted = strlen(end);
    return length >= wanted && !strcmp(path + length - wanted, end);
}

EXPORT void *mmap(void *at, size_t size, int protection, int flags, int descriptor, off_t offset) {
    const char *path = flags & MAP_ANONYMOUS ? NULL : name_of(descriptor);
    if (path && fails(MAP, path))
        return MAP_FAILED;
    /* What is written through memory cannot be seen; the -shm, which does not outlive a power cut, need not be. */
    if (path && is_recording() && (flags & MAP_SHARED) && (protection & PROT_WRITE) && !ends_with(path, "-shm"))
        refuse("a file that is changed through memory");
    return REAL(mmap)(at, size, protection, flags, descriptor, offset);
}

EXPORT void *mmap64(void *at, size_t size, int protection, int flags, int descriptor, off64_t offset) {
    return mmap(at, size, protection, flags, descriptor, offset);
}

EXPORT int fstat(int descriptor, struct stat *status) {
    return name_of(descriptor) && fails(STAT, name_of(descriptor)) ? -1 : REAL(fstat)(descriptor, status);
}

EXPORT int fstat64(int descriptor, struct stat64 *status) {
    return name_of(descriptor) && fails(STAT, name_of(descriptor)) ? -1 : REAL(fstat64)(descriptor, status);
}
