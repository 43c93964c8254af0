/*
 * A disk that remembers what was done to it, and fails when it is told to. To be preloaded (LD_PRELOAD) into a process.
 *
 * A process that is killed loses nothing that it wrote: the kernel has it. Only a power failure shows which of its writes were never
 * synced. So everything that changes files below ERRAND_DISK_ROOT is recorded in the file ERRAND_DISK_LOG, the syncs too; what a
 * disk may hold after a cut at the record's end is worked out from it (replay.ts).
 *
 *   record := length (u32: of what follows) · kind (u8) · ino (u64) · number (u64) · lengths of path, other path, data (3 × u32) · these
 *
 * A change is recorded once it was made, a sync before it begins and after it has ended: so that what it covers had returned before.
 *
 * ERRAND_DISK_FAULTS names a file of 256 bytes: an errno for each kind of call (0: none), and from byte 16 on a text that the
 * path must have in it. It is shared memory: what is written there holds from then on.
 *
 * Little-endian Linux with glibc, one process.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind { CREATED = 1, OPENED, WROTE, TRUNCATED, SYNC_BEGINS, SYNC_ENDS, RENAMED, LINKED, UNLINKED, MADE_FOLDER, REMOVED_FOLDER };
enum fault { AT_OPEN, AT_READ, AT_WRITE, AT_SYNC, AT_NAME };

static const char *root;
static size_t root_length;
static int log_file = -1;
static volatile unsigned char *faults;

#define REAL(name) \
  static __typeof__(name) *real; \
  if (!real) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

/* --- which files --- */

#define MOST_FILES 65536
struct known {
  dev_t device;
  ino_t ino;
  int is_folder;
  char *path;
};
static struct known files[MOST_FILES];

__attribute__((constructor)) static void begin(void) {
  root = getenv("ERRAND_DISK_ROOT");
  const char *log = getenv("ERRAND_DISK_LOG"), *control = getenv("ERRAND_DISK_FAULTS");
  if (!root) return;
  root_length = strlen(root);
  if (log) {
    int opened = (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    /* Out of the way: tests say which descriptors there are. */
    log_file = fcntl(opened, F_DUPFD_CLOEXEC, 900);
    if (log_file < 0) log_file = opened;
    else syscall(SYS_close, opened);
  }
  if (control) {
    int opened = (int)syscall(SYS_openat, AT_FDCWD, control, O_RDONLY | O_CLOEXEC);
    if (opened < 0) return;
    void *page = mmap(NULL, 256, PROT_READ, MAP_SHARED, opened, 0);
    if (page != MAP_FAILED) faults = page;
    syscall(SYS_close, opened);
  }
}

static int is_ours(const char *path) {
  return root && path && strncmp(path, root, root_length) == 0 && (path[root_length] == '/' || path[root_length] == 0);
}

/* The file behind a descriptor, if it is one that was opened below the root and has not been closed since. */
static struct known *known(int file) {
  if (!root || file < 0 || file >= MOST_FILES || !files[file].path) return NULL;
  struct stat now;
  if (fstat(file, &now) || now.st_dev != files[file].device || now.st_ino != files[file].ino) return NULL;
  return &files[file];
}

static const char *absolute(int folder, const char *path, char *room) {
  if (!root || !path || path[0] == '/') return path;
  struct known *at = folder == AT_FDCWD ? NULL : known(folder);
  if (!at) return NULL;
  snprintf(room, PATH_MAX, "%s/%s", at->path, path);
  return room;
}

static int fails(enum fault what, const char *path) {
  if (!faults || faults[what] == 0 || !path || !strstr(path, (const char *)faults + 16)) return 0;
  errno = faults[what];
  return 1;
}

/* --- the record --- */

static void record(enum kind kind, uint64_t ino, uint64_t number, const char *path, const char *other,
                   const struct iovec *pieces, int count, size_t length) {
  if (log_file < 0) return;
  int error = errno;
  uint32_t lengths[3] = {path ? strlen(path) : 0, other ? strlen(other) : 0, length};
  char head[4 + 1 + 8 + 8 + sizeof lengths];
  uint32_t whole = sizeof head - 4 + lengths[0] + lengths[1] + lengths[2];
  char *at = head;
  memcpy(at, &whole, 4), at += 4;
  *at++ = (char)kind;
  memcpy(at, &ino, 8), at += 8;
  memcpy(at, &number, 8), at += 8;
  memcpy(at, lengths, sizeof lengths);
  struct iovec parts[3 + IOV_MAX] = {
      {head, sizeof head}, {(char *)path, lengths[0]}, {(char *)other, lengths[1]}};
  int used = 3;
  for (int i = 0; i < count && length > 0; i++) {
    size_t here = pieces[i].iov_len < length ? pieces[i].iov_len : length;
    parts[used].iov_base = pieces[i].iov_base;
    parts[used++].iov_len = here;
    length -= here;
  }
  /* One call, so that no other thread's record comes into the middle of it. */
  if (syscall(SYS_writev, log_file, parts, used) < 0) abort();
  errno = error;
}

static void record_names(enum kind kind, const char *path, const char *other) {
  record(kind, 0, 0, path, other, NULL, 0, 0);
}

/* --- opening --- */

static int opened(int file, const char *path, int existed) {
  if (file < 0 || file >= MOST_FILES) return file;
  int error = errno;
  free(files[file].path);
  files[file].path = NULL;
  struct stat now;
  if (is_ours(path) && fstat(file, &now) == 0) {
    files[file].device = now.st_dev;
    files[file].ino = now.st_ino;
    files[file].is_folder = S_ISDIR(now.st_mode);
    files[file].path = strdup(path);
    if (S_ISREG(now.st_mode)) record(existed ? OPENED : CREATED, now.st_ino, 0, path, NULL, NULL, 0, 0);
  }
  errno = error;
  return file;
}

static int open_at(int folder, const char *given, int flags, mode_t mode) {
  char room[PATH_MAX];
  const char *path = absolute(folder, given, room);
  int ours = is_ours(path);
  if (ours && fails(AT_OPEN, path)) return -1;
  struct stat before;
  int existed = !ours || !(flags & O_CREAT) || syscall(SYS_newfstatat, AT_FDCWD, path, &before, 0) == 0;
  int file = (int)syscall(SYS_openat, folder, given, flags, mode);
  opened(file, path, existed);
  if (ours && file >= 0 && existed && (flags & O_TRUNC)) {
    struct known *at = known(file);
    if (at) record(TRUNCATED, at->ino, 0, NULL, NULL, NULL, 0, 0);
  }
  return file;
}

#define MODE_OF(flags) \
  mode_t mode = 0; \
  if (flags & (O_CREAT | __O_TMPFILE)) { \
    va_list more; \
    va_start(more, flags); \
    mode = va_arg(more, mode_t); \
    va_end(more); \
  }
int open(const char *path, int flags, ...) { MODE_OF(flags) return open_at(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE_OF(flags) return open_at(AT_FDCWD, path, flags | O_LARGEFILE, mode); }
int openat(int folder, const char *path, int flags, ...) { MODE_OF(flags) return open_at(folder, path, flags, mode); }
int openat64(int folder, const char *path, int flags, ...) { MODE_OF(flags) return open_at(folder, path, flags | O_LARGEFILE, mode); }

/* --- bytes --- */

static ssize_t wrote(int file, const struct known *at, ssize_t done, off_t offset, const struct iovec *pieces, int count) {
  if (!at || done <= 0) return done;
  uint64_t from = offset >= 0 ? (uint64_t)offset : (uint64_t)(lseek(file, 0, SEEK_CUR) - done);
  record(WROTE, at->ino, from, NULL, NULL, pieces, count, (size_t)done);
  return done;
}

/* Where the position is the file's own, `offset` is -1. */
static ssize_t write_at(int file, const struct iovec *pieces, int count, off_t offset) {
  struct known *at = known(file);
  if (at && fails(AT_WRITE, at->path)) return -1;
  ssize_t done = offset >= 0 ? syscall(SYS_pwritev, file, pieces, count, offset, 0)
                             : syscall(SYS_writev, file, pieces, count);
  return wrote(file, at, done, offset, pieces, count);
}

ssize_t write(int file, const void *bytes, size_t length) {
  return write_at(file, &(struct iovec){(void *)bytes, length}, 1, -1);
}
ssize_t pwrite(int file, const void *bytes, size_t length, off_t offset) {
  return write_at(file, &(struct iovec){(void *)bytes, length}, 1, offset);
}
ssize_t pwrite64(int file, const void *bytes, size_t length, off64_t offset) {
  return write_at(file, &(struct iovec){(void *)bytes, length}, 1, offset);
}
ssize_t writev(int file, const struct iovec *pieces, int count) { return write_at(file, pieces, count, -1); }
ssize_t pwritev(int file, const struct iovec *pieces, int count, off_t offset) { return write_at(file, pieces, count, offset); }
ssize_t pwritev64(int file, const struct iovec *pieces, int count, off64_t offset) { return write_at(file, pieces, count, offset); }

static ssize_t read_at(int file, const struct iovec *pieces, int count, off_t offset) {
  struct known *at = faults ? known(file) : NULL;
  if (at && fails(AT_READ, at->path)) return -1;
  return offset >= 0 ? syscall(SYS_preadv, file, pieces, count, offset, 0) : syscall(SYS_readv, file, pieces, count);
}
ssize_t read(int file, void *bytes, size_t length) { return read_at(file, &(struct iovec){bytes, length}, 1, -1); }
ssize_t pread(int file, void *bytes, size_t length, off_t offset) {
  return read_at(file, &(struct iovec){bytes, length}, 1, offset);
}
ssize_t pread64(int file, void *bytes, size_t length, off64_t offset) {
  return read_at(file, &(struct iovec){bytes, length}, 1, offset);
}

static int truncated(int file, off_t length, int done) {
  struct known *at = known(file);
  if (at && done == 0) record(TRUNCATED, at->ino, (uint64_t)length, NULL, NULL, NULL, 0, 0);
  return done;
}
static int truncate_open(int file, off_t length) {
  struct known *at = known(file);
  if (at && fails(AT_WRITE, at->path)) return -1;
  return truncated(file, length, (int)syscall(SYS_ftruncate, file, length));
}
int ftruncate(int file, off_t length) { return truncate_open(file, length); }
int ftruncate64(int file, off64_t length) { return truncate_open(file, length); }

/* --- syncs --- */

static int sync_file(int file, int data_only) {
  static uint64_t last;
  struct known *at = known(file);
  if (at && fails(AT_SYNC, at->path)) return -1;
  uint64_t number = at ? __atomic_add_fetch(&last, 1, __ATOMIC_SEQ_CST) : 0;
  /* A folder is known by its path: file systems give the number of a file that is gone to a folder that is made. */
  uint64_t ino = at && !at->is_folder ? at->ino : 0;
  if (at) record(SYNC_BEGINS, ino, number, at->path, NULL, NULL, 0, 0);
  int done = (int)syscall(data_only ? SYS_fdatasync : SYS_fsync, file);
  if (at && done == 0) record(SYNC_ENDS, ino, number, NULL, NULL, NULL, 0, 0);
  return done;
}
int fsync(int file) { return sync_file(file, 0); }
int fdatasync(int file) { return sync_file(file, 1); }

/* --- names --- */

#define NAMED(kind, call, path, other) \
  if (fails(AT_NAME, path) || fails(AT_NAME, other)) return -1; \
  int done = (int)(call); \
  if (done == 0 && (is_ours(path) || is_ours(other))) record_names(kind, path, other); \
  return done

int rename(const char *from, const char *to) { NAMED(RENAMED, syscall(SYS_rename, from, to), from, to); }
int link(const char *from, const char *to) { NAMED(LINKED, syscall(SYS_link, from, to), from, to); }
int unlink(const char *path) { NAMED(UNLINKED, syscall(SYS_unlink, path), path, NULL); }
int rmdir(const char *path) { NAMED(REMOVED_FOLDER, syscall(SYS_rmdir, path), path, NULL); }
int mkdir(const char *path, mode_t mode) { NAMED(MADE_FOLDER, syscall(SYS_mkdir, path, mode), path, NULL); }
int remove(const char *path) {
  struct stat now;
  int folder = syscall(SYS_newfstatat, AT_FDCWD, path, &now, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(now.st_mode);
  return folder ? rmdir(path) : unlink(path);
}
int unlinkat(int folder, const char *given, int flags) {
  char room[PATH_MAX];
  const char *path = absolute(folder, given, room);
  NAMED(flags & AT_REMOVEDIR ? REMOVED_FOLDER : UNLINKED, syscall(SYS_unlinkat, folder, given, flags), path, NULL);
}
/* Nothing here is known to use these on files of ours: if that changes, it must not pass unseen. */
int renameat(int a, const char *from, int b, const char *to) {
  REAL(renameat);
  if (is_ours(from) || is_ours(to)) abort();
  return real(a, from, b, to);
}
int symlink(const char *to, const char *path) {
  REAL(symlink);
  if (is_ours(path)) abort();
  return real(to, path);
}
int fallocate64(int file, int mode, off64_t offset, off64_t length) {
  REAL(fallocate64);
  if (known(file)) abort();
  return real(file, mode, offset, length);
}
