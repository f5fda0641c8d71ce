/* What the two halves of the recorder share: see syscalls.c (content) and syscalls_names.c (names). */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define EXPORT __attribute__((visibility("default")))
#define HIDDEN __attribute__((visibility("hidden")))

enum operation { READ, WRITE, SYNC, DIRSYNC, TRUNCATE, MAP, LOCK, OPEN, UNLINK, STAT, RENAME, LINK, MKDIR, LIST, OPERATIONS };

/* Whether a path is the root or below it; what is recorded of it is what comes after the root. */
HIDDEN int is_ours(const char *path);
HIDDEN const char *below_root(const char *path);
/* The absolute path of what a call names; `whole` has PATH_MAX bytes, and may be what is returned. */
HIDDEN const char *absolute(int at, const char *path, char *whole);

/* The path of a descriptor below the root; NULL of any other. */
HIDDEN const char *name_of(int descriptor);
HIDDEN void name(int descriptor, const char *path);

/* Whether this call is to fail, with errno set. */
HIDDEN int fails(enum operation operation, const char *path);
/* Whether half of a write is done before it fails. */
HIDDEN int half_is_written(void);

/* What is between lock() and unlock() happens at one point of the order of all processes. */
HIDDEN void lock(void);
HIDDEN void unlock(void);
HIDDEN int is_recording(void);
HIDDEN void put(char kind, int failed, int64_t inode, int64_t offset, const char *path, const void *data, size_t size);
/* End a process that does what would make its record a wrong one. */
HIDDEN void refuse(const char *what);
HIDDEN int64_t inode_of(int descriptor);
