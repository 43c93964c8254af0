#define _GNU_SOURCE
#include "folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

/* Each level holds a descriptor. What lies deeper is moved up. */
#define MOST_LEVELS 64
#define OPEN_FOLDER (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

static int open_folder(int parent, const char *name) {
  int folder = openat(parent, name, OPEN_FOLDER);
  if (folder >= 0 || errno != EACCES) return folder;
  /* Not through a link that took its place: this opens the folder itself, without the right to read it. */
  int handle = openat(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (handle < 0) return -1;
  char of_handle[64];
  snprintf(of_handle, sizeof of_handle, "/proc/self/fd/%d", handle);
  if (chmod(of_handle, 0700) == 0) folder = openat(parent, name, OPEN_FOLDER);
  close(handle);
  return folder;
}

/* Of what is being removed: the outermost folder, and how many have been moved up into it. */
struct removal {
  int top;
  unsigned moved;
};

static void empty_folder(struct removal *removal, int folder, int level);

static void remove_entry(struct removal *removal, int parent, const char *name, int level) {
  if (unlinkat(parent, name, 0) == 0) return;
  if (errno != EISDIR && errno != EPERM) return;
  if (unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOTDIR) return;
  if (level >= MOST_LEVELS) {
    /* To be moved it must be writable: its way to its parent changes. */
    int deep = open_folder(parent, name);
    if (deep < 0) return;
    fchmod(deep, 0700);
    close(deep);
    char up[64];
    snprintf(up, sizeof up, ".errand-removes-%u", removal->moved++);
    renameat(parent, name, removal->top, up);
    return;
  }
  int folder = open_folder(parent, name);
  if (folder < 0) return;
  empty_folder(removal, folder, level + 1);
  unlinkat(parent, name, AT_REMOVEDIR);
}

/* Closes it. */
static void empty_folder(struct removal *removal, int folder, int level) {
  struct stat now;
  /* Folders that their owner may not write to, such as those of Go's module cache, keep what is in them. */
  if (fstat(folder, &now) == 0 && (now.st_mode & 0700) != 0700) fchmod(folder, 0700);
  DIR *listing = fdopendir(folder);
  if (!listing) {
    close(folder);
    return;
  }
  for (struct dirent *entry; (entry = readdir(listing));) {
    if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..")) {
      remove_entry(removal, folder, entry->d_name, level);
    }
  }
  closedir(listing);
}

void folder_remove_all(const char *path) {
  /* Each pass takes away MOST_LEVELS of what was moved up; it ends when one has moved nothing. */
  for (unsigned before = UINT_MAX; rmdir(path) != 0;) {
    int folder = open_folder(AT_FDCWD, path);
    if (folder < 0) {
      /* A link, or a file, that someone put in its place. */
      unlink(path);
      return;
    }
    struct removal removal = {.top = fcntl(folder, F_DUPFD_CLOEXEC, 3), .moved = 0};
    static unsigned names;
    removal.moved = names;
    empty_folder(&removal, folder, 1);
    unsigned moved = removal.moved - names;
    names = removal.moved;
    close(removal.top);
    if (moved == 0 && before == 0) return;
    before = moved;
  }
}

int folder_remove(const char *path) {
  return rmdir(path) == 0 || errno == ENOENT;
}

static int make_parents(const char *path) {
  char parent[PATH_MAX];
  size_t length = strlen(path);
  if (length >= sizeof parent) return 0;
  memcpy(parent, path, length + 1);
  for (char *at = parent + 1; *at; at++) {
    if (*at != '/') continue;
    *at = 0;
    if (mkdir(parent, 0700) && errno != EEXIST) return 0;
    *at = '/';
  }
  return 1;
}

/* Through its descriptor, so that no name is followed. */
static int give_to(const char *path, uid_t owner) {
  int folder = open(path, OPEN_FOLDER);
  if (folder < 0) return errno;
  int error = fchown(folder, owner, owner) ? errno : 0;
  close(folder);
  return error;
}

/* --- those that are used again --- */

#define MOST_SPARES 64
#define SPARE ".spare-"

/* The folder that they lie in: that of the runs' folders. */
static char spares_in[PATH_MAX];
static size_t spares_in_length;
static unsigned spare_numbers[MOST_SPARES], spare_count, last_spare;

static void spare_path(char *path, size_t room, unsigned number) {
  snprintf(path, room, "%.*s" SPARE "%d-%u", (int)spares_in_length, spares_in, (int)getpid(), number);
}

/* Those of a launcher that was killed. One may still be on its way out, or not be reaped yet, when another takes its place. */
#define STRANGERS_EVERY_MS 1000
static uint64_t strangers_at;

static void remove_strangers(uint64_t now) {
  if (now < strangers_at) return;
  strangers_at = UINT64_MAX;
  DIR *listing = opendir(spares_in);
  if (!listing) return;
  for (struct dirent *entry; (entry = readdir(listing));) {
    if (strncmp(entry->d_name, SPARE, sizeof SPARE - 1)) continue;
    long pid = strtol(entry->d_name + sizeof SPARE - 1, NULL, 10);
    if (pid <= 0 || pid == getpid()) continue;
    if (kill((pid_t)pid, 0) != 0 && errno == ESRCH) unlinkat(dirfd(listing), entry->d_name, AT_REMOVEDIR);
    else strangers_at = now + STRANGERS_EVERY_MS;
  }
  closedir(listing);
}

/* Whether a run's folder lies where the spares do. The first one says where that is. */
static int is_beside_spares(const char *path) {
  const char *name = strrchr(path, '/');
  if (!name) return 0;
  size_t length = (size_t)(name + 1 - path);
  if (spares_in_length == 0 && length + 64 < sizeof spares_in) {
    memcpy(spares_in, path, length);
    spares_in[length] = 0;
    spares_in_length = length;
  }
  return length == spares_in_length && memcmp(path, spares_in, length) == 0;
}

static int has_only_itself_and_parent(int folder) {
  _Alignas(8) char entries[256];
  long length = syscall(SYS_getdents64, folder, entries, sizeof entries);
  /* Two entries, of 24 bytes each. */
  return length == 48 && syscall(SYS_getdents64, folder, entries, sizeof entries) == 0;
}

/* Whether nobody can tell it from a new one. */
static int is_as_new(const char *path) {
  int folder = open(path, OPEN_FOLDER);
  if (folder < 0) return 0;
  struct stat now;
  int is = fstat(folder, &now) == 0 && (now.st_mode & 07777) == 0700 && now.st_uid == geteuid() &&
           now.st_size <= 4096 && has_only_itself_and_parent(folder) && flistxattr(folder, NULL, 0) <= 0;
  close(folder);
  return is;
}

int folder_recycle(const char *path, uint64_t now) {
  char spare[PATH_MAX + 64];
  if (!is_beside_spares(path)) return folder_remove(path);
  remove_strangers(now);
  if (spare_count < MOST_SPARES && is_as_new(path)) {
    spare_path(spare, sizeof spare, ++last_spare);
    if (rename(path, spare) == 0) {
      spare_numbers[spare_count++] = last_spare;
      return 1;
    }
  }
  return folder_remove(path);
}

static int take_spare(const char *path) {
  char spare[PATH_MAX + 64];
  if (spare_count == 0 || !is_beside_spares(path)) return 0;
  spare_path(spare, sizeof spare, spare_numbers[spare_count - 1]);
  /* Never over what is there, be it an empty folder. */
  if (syscall(SYS_renameat2, AT_FDCWD, spare, AT_FDCWD, path, 1u /* RENAME_NOREPLACE */) != 0) return 0;
  spare_count--;
  return 1;
}

void folders_let_go(void) {
  char spare[PATH_MAX + 64];
  while (spare_count > 0) {
    spare_path(spare, sizeof spare, spare_numbers[--spare_count]);
    rmdir(spare);
  }
}

int folder_make(const char *path, uid_t owner) {
  if (owner == 0 && take_spare(path)) return 0;
  if (mkdir(path, 0700)) {
    if (errno == ENOENT) {
      if (!make_parents(path)) return errno;
    } else if (errno == EEXIST) {
      /* Left by a server that was killed, or put there by someone: the command gets one of its own. */
      folder_remove_all(path);
    } else {
      return errno;
    }
    if (mkdir(path, 0700)) return errno;
  }
  return owner == 0 ? 0 : give_to(path, owner);
}
