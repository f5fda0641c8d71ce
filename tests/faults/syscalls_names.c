/* The half of the recorder that sees how names come and go: of files, links and directories, by path or by the
   descriptor of their directory. */

#include "syscalls.h"

#include <dirent.h>

#define NAMELESS(flags) (((flags) & O_TMPFILE) == O_TMPFILE)

static int opened(int at, const char *path, int flags, mode_t mode) {
    char whole[PATH_MAX], nameless[PATH_MAX + 32];
    const char *full = absolute(at, path, whole);
    if (!is_ours(full)) {
        int descriptor = REAL(openat)(at, path, flags, mode);
        if (name_of(descriptor)) /* of one that was closed behind our back */
            name(descriptor, NULL);
        return descriptor;
    }
    if (fails(OPEN, full))
        return -1;
    lock();
    int is_new = NAMELESS(flags) || (flags & O_CREAT && REAL(faccessat)(at, path, F_OK, 0));
    int descriptor = REAL(openat)(at, path, flags, mode);
    if (descriptor >= 0) {
        int64_t inode = inode_of(descriptor);
        if (NAMELESS(flags)) {
            snprintf(nameless, sizeof nameless, "%s/#%lld", full, (long long)inode);
            put('o', 0, inode, 0, full, NULL, 0);
            full = nameless;
        } else if (is_new)
            put('c', 0, inode, 0, full, NULL, 0);
        else if (flags & O_TRUNC)
            put('t', 0, inode, 0, full, NULL, 0);
        name(descriptor, full);
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

EXPORT DIR *opendir(const char *path) {
    return is_ours(path) && fails(LIST, path) ? NULL : REAL(opendir)(path);
}

EXPORT DIR *fdopendir(int descriptor) {
    return name_of(descriptor) && fails(LIST, name_of(descriptor)) ? NULL : REAL(fdopendir)(descriptor);
}

EXPORT int closedir(DIR *directory) {
    if (name_of(dirfd(directory)))
        name(dirfd(directory), NULL);
    return REAL(closedir)(directory);
}

EXPORT int unlinkat(int at, const char *path, int flags) {
    char whole[PATH_MAX];
    const char *full = absolute(at, path, whole);
    if (!is_ours(full))
        return REAL(unlinkat)(at, path, flags);
    if (fails(UNLINK, full))
        return -1;
    lock();
    int result = REAL(unlinkat)(at, path, flags);
    if (!result)
        put('u', 0, 0, 0, full, NULL, 0);
    unlock();
    return result;
}

EXPORT int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }
EXPORT int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }

EXPORT int renameat2(int from_at, const char *from, int to_at, const char *to, unsigned flags) {
    char from_whole[PATH_MAX], to_whole[PATH_MAX];
    const char *old = absolute(from_at, from, from_whole), *new = absolute(to_at, to, to_whole);
    if (!is_ours(old) && !is_ours(new))
        return REAL(renameat2)(from_at, from, to_at, to, flags);
    if (is_recording() && (!is_ours(old) || !is_ours(new) || flags & ~RENAME_NOREPLACE))
        refuse("a name that is exchanged, or goes into or out of the directory");
    if (fails(RENAME, old))
        return -1;
    lock();
    int result = REAL(renameat2)(from_at, from, to_at, to, flags);
    if (!result && is_recording())
        put('r', 0, 0, 0, old, below_root(new), strlen(below_root(new)));
    unlock();
    return result;
}

EXPORT int renameat(int from_at, const char *from, int to_at, const char *to) {
    return renameat2(from_at, from, to_at, to, 0);
}

EXPORT int rename(const char *from, const char *to) { return renameat2(AT_FDCWD, from, AT_FDCWD, to, 0); }

static int64_t inode_at(int at, const char *path) {
    struct stat status;
    return REAL(fstatat)(at, path, &status, AT_SYMLINK_NOFOLLOW) ? -1 : (int64_t)status.st_ino;
}

EXPORT int linkat(int from_at, const char *from, int to_at, const char *to, int flags) {
    char whole[PATH_MAX];
    const char *new = absolute(to_at, to, whole);
    if (!is_ours(new))
        return REAL(linkat)(from_at, from, to_at, to, flags);
    if (fails(LINK, new))
        return -1;
    lock();
    int result = REAL(linkat)(from_at, from, to_at, to, flags);
    if (!result)
        put('l', 0, inode_at(to_at, to), 0, new, NULL, 0);
    unlock();
    return result;
}

EXPORT int link(const char *from, const char *to) { return linkat(AT_FDCWD, from, AT_FDCWD, to, 0); }

EXPORT int symlinkat(const char *target, int at, const char *path) {
    char whole[PATH_MAX];
    if (is_ours(absolute(at, path, whole)) && is_recording())
        refuse("a symbolic link");
    return REAL(symlinkat)(target, at, path);
}

EXPORT int symlink(const char *target, const char *path) { return symlinkat(target, AT_FDCWD, path); }

EXPORT int mkdirat(int at, const char *path, mode_t mode) {
    char whole[PATH_MAX];
    const char *full = absolute(at, path, whole);
    if (!is_ours(full))
        return REAL(mkdirat)(at, path, mode);
    if (fails(MKDIR, full))
        return -1;
    lock();
    int result = REAL(mkdirat)(at, path, mode);
    if (!result)
        put('m', 0, inode_at(at, path), 0, full, NULL, 0);
    unlock();
    return result;
}

EXPORT int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }

EXPORT int stat64(const char *path, struct stat64 *status) {
    return is_ours(path) && fails(STAT, path) ? -1 : REAL(stat64)(path, status);
}

EXPORT int lstat64(const char *path, struct stat64 *status) {
    return is_ours(path) && fails(STAT, path) ? -1 : REAL(lstat64)(path, status);
}

EXPORT int fstatat64(int at, const char *path, struct stat64 *status, int flags) {
    char whole[PATH_MAX];
    const char *full = absolute(at, path, whole);
    return is_ours(full) && fails(STAT, full) ? -1 : REAL(fstatat64)(at, path, status, flags);
}
