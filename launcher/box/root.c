/* The private root: what a box sees of the host's files. Built once in the maker; boxes get copies of its mounts. */
#include "wire.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define AT "/tmp" /* where the root is put together, in the maker's own mount namespace */

/* Of /etc, what programs need and everybody may read. Copies: a bind mount more would cost every box. */
static const char *const settings[] = {
  "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "ssl", "ca-certificates", "ca-certificates.conf", "pki", "crypto-policies",
  "localtime", "timezone", "mime.types", "protocols", "services", "gai.conf", "locale.conf", "inputrc", "terminfo",
  "profile", "bash.bashrc", "os-release", "debian_version", "lsb-release", "redhat-release", "alpine-release", "java-17-openjdk",
  "java-11-openjdk", "java-21-openjdk", "python3", "python3.11", "python3.12", "python3.13", "perl", "fonts", "magic", "apk", NULL,
};

static const struct { const char *name, *text; } written[] = {
  {"passwd", "root:x:0:0:root:/nonexistent:/usr/sbin/nologin\nerrand:x:1000:1000:errand:/work:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"},
  {"group", "root:x:0:\nerrand:x:1000:\nnogroup:x:65534:\n"},
  {"hosts", "127.0.0.1 localhost errand\n::1 localhost\n"},
  {"hostname", "errand\n"},
  {"nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\nprotocols: files\nservices: files\n"},
  {"resolv.conf", ""},
};

static int make_file(int folder, const char *name, mode_t mode, const char *text) {
  int fd = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
  if (fd < 0) return errno;
  size_t bytes = strlen(text);
  int error = write(fd, text, bytes) == (ssize_t)bytes ? 0 : errno;
  close(fd);
  return error;
}

static void copy_file(int from, int to, const char *name, mode_t mode) {
  int source = openat(from, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  int target = source < 0 ? -1 : openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode & 0755);
  char block[65536];
  ssize_t got;
  while (target >= 0 && (got = read(source, block, sizeof block)) > 0)
    if (write(target, block, (size_t)got) != got) break;
  if (source >= 0) close(source);
  if (target >= 0) close(target);
}

/* Only what others may read: a maker that is root must not show more than the box's user would have seen. */
static void copy_tree(int from, int to, const char *name, int depth) {
  struct stat about;
  if (depth > 8 || fstatat(from, name, &about, AT_SYMLINK_NOFOLLOW)) return;
  if (S_ISLNK(about.st_mode)) {
    char target[512];
    ssize_t length = readlinkat(from, name, target, sizeof target - 1);
    if (length <= 0) return;
    target[length] = 0;
    if (symlinkat(target, to, name)) return;
  } else if (S_ISREG(about.st_mode)) {
    if ((about.st_mode & S_IROTH) && about.st_size <= 4 << 20) copy_file(from, to, name, about.st_mode);
  } else if (S_ISDIR(about.st_mode) && (about.st_mode & (S_IROTH | S_IXOTH)) == (S_IROTH | S_IXOTH)) {
    int source = openat(from, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (source < 0) return;
    DIR *entries = mkdirat(to, name, 0755) ? NULL : fdopendir(source);
    int target = entries ? openat(to, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    for (struct dirent *entry; target >= 0 && (entry = readdir(entries));)
      if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..")) copy_tree(source, target, entry->d_name, depth + 1);
    if (target >= 0) close(target);
    if (entries) closedir(entries);
    else close(source);
  }
}

static int make_settings(int root) {
  if (mkdirat(root, "etc", 0755)) return errno;
  int etc = openat(root, "etc", O_RDONLY | O_DIRECTORY | O_CLOEXEC), host = open("/etc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (etc < 0) return errno;
  for (size_t i = 0; i < sizeof written / sizeof *written; i++) {
    int error = make_file(etc, written[i].name, 0644, written[i].text);
    if (error) return error;
  }
  for (int i = 0; host >= 0 && settings[i]; i++) copy_tree(host, etc, settings[i], 0);
  if (symlinkat("/proc/self/mounts", etc, "mtab")) return errno;
  close(etc);
  if (host >= 0) close(host);
  return 0;
}

static const struct { const char *name; unsigned minor_number, major_number; } devices[] = {
  {"null", 3, 1}, {"zero", 5, 1}, {"full", 7, 1}, {"random", 8, 1}, {"urandom", 9, 1}, {"tty", 0, 5},
};

static int make_devices(int root) {
  static const char *const links[][2] = {
    {"/proc/self/fd", "fd"}, {"/proc/self/fd/0", "stdin"}, {"/proc/self/fd/1", "stdout"}, {"/proc/self/fd/2", "stderr"},
  };
  if (mkdirat(root, "dev", 0755)) return errno;
  int dev = openat(root, "dev", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (dev < 0) return errno;
  for (size_t i = 0; i < sizeof devices / sizeof *devices; i++) {
    if (maker.report.as_root && !mknodat(dev, devices[i].name, S_IFCHR | 0666, makedev(devices[i].major_number, devices[i].minor_number))) {
      int opens = openat(dev, devices[i].name, O_RDWR | O_CLOEXEC | O_NOCTTY);
      if (opens >= 0 || errno == ENXIO) {
        if (opens >= 0) close(opens);
        continue;
      }
      unlinkat(dev, devices[i].name, 0); /* a container whose device group forbids it */
    }
    char from[64], to[64];
    snprintf(from, sizeof from, "/dev/%s", devices[i].name);
    snprintf(to, sizeof to, AT "/dev/%s", devices[i].name);
    int error = make_file(dev, devices[i].name, 0666, "");
    if (error) return error;
    if (mount(from, to, NULL, MS_BIND, NULL)) return errno;
  }
  for (int i = 0; i < 4; i++)
    if (symlinkat(links[i][0], dev, links[i][1])) return errno;
  if (symlinkat("/tmp", dev, "shm")) return errno; /* one mount less */
  for (size_t i = 0; i < sizeof devices / sizeof *devices; i++)
    if (maker.report.as_root && fchmodat(dev, devices[i].name, 0666, 0)) return errno; /* the umask had its say */
  close(dev);
  return 0;
}

struct attributes { uint64_t set, clear, propagation, user_namespace; };
#define ATTRIBUTE_READ_ONLY 1
#define ATTRIBUTE_NO_SUID 2
#define ATTRIBUTE_NO_DEV 4
#ifndef SYS_mount_setattr
#define SYS_mount_setattr 442
#endif
#define RECURSIVE 0x8000

/* With all that is mounted in it: mount_setattr (Linux 5.12) takes in what lies deeper. */
static int bind_read_only(const char *from, const char *path, int root) {
  char below[BOX_PATH_BYTES + 8];
  snprintf(below, sizeof below, "%s", path + 1);
  for (char *slash = strchr(below, '/'); slash; slash = strchr(slash + 1, '/')) {
    *slash = 0;
    if (mkdirat(root, below, 0755) && errno != EEXIST) return errno;
    *slash = '/';
  }
  if (mkdirat(root, below, 0755) && errno != EEXIST) return errno;
  snprintf(below, sizeof below, AT "%s", path);
  if (mount(from, below, NULL, MS_BIND | MS_REC, NULL)) return errno;
  struct attributes all = {.set = ATTRIBUTE_READ_ONLY | ATTRIBUTE_NO_SUID | ATTRIBUTE_NO_DEV, .propagation = MS_PRIVATE};
  return syscall(SYS_mount_setattr, AT_FDCWD, below, RECURSIVE, &all, sizeof all) ? errno : 0;
}

/* A folder of the system, where the host has it; or the link that merged systems have in its place. */
static int show(const char *path, int root) {
  struct stat about;
  if (lstat(path, &about)) return 0; /* the host has none */
  if (S_ISLNK(about.st_mode)) {
    char target[512];
    ssize_t length = readlink(path, target, sizeof target - 1);
    if (length <= 0) return 0;
    target[length] = 0;
    return symlinkat(target, root, path + 1) ? errno : 0;
  }
  if (!S_ISDIR(about.st_mode)) return 0;
  return bind_read_only(path, path, root);
}

/* These are covered in each box, or made here. */
static int may_show_at(const char *path) {
  static const char *const taken[] = {"/tmp", "/work", "/proc", "/dev", "/etc", "/usr", "/var/tmp", "/var/run"};
  if (*path != '/' || !path[1] || strstr(path, "/../") || strstr(path, "/./")) return 0;
  for (size_t i = 0; i < sizeof taken / sizeof *taken; i++) {
    size_t length = strlen(taken[i]);
    if (!strncmp(path, taken[i], length) && (!path[length] || path[length] == '/')) return 0;
  }
  return 1;
}

int root_build(void) {
  static const char *const system[] = {"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"};
  static const char *const empty[] = {"proc", "tmp", "work", "home", "root", "run", "var", "mnt", "sys"};
  umask(022);
  if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL)) return errno;
  /* What is shown may lie under /tmp, which the new root hides: hold it first. */
  int held[BOX_MAX_READABLE];
  for (int i = 0; i < BOX_MAX_READABLE; i++)
    held[i] = maker.config.readable[i].host[0] ? open(maker.config.readable[i].host, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
  if (mount("errand", AT, "tmpfs", MS_NOSUID, "size=32m,mode=755")) return errno;
  int root = open(AT, O_RDONLY | O_DIRECTORY | O_CLOEXEC), error;
  if (root < 0) return errno;
  for (size_t i = 0; i < sizeof empty / sizeof *empty; i++)
    if (mkdirat(root, empty[i], 0755)) return errno;
  if (symlinkat("/tmp", root, "var/tmp") || symlinkat("/run", root, "var/run")) return errno;
  for (size_t i = 0; i < sizeof system / sizeof *system; i++)
    if ((error = show(system[i], root))) return error;
  for (int i = 0; i < BOX_MAX_READABLE; i++) {
    const char *path = maker.config.readable[i].box[0] ? maker.config.readable[i].box : maker.config.readable[i].host;
    if (!*path) continue;
    if (held[i] < 0) return ENOENT;
    char from[40];
    snprintf(from, sizeof from, "/proc/self/fd/%d", held[i]);
    if ((error = may_show_at(path) ? bind_read_only(from, path, root) : EINVAL)) return error;
    close(held[i]);
  }
  if ((error = make_settings(root)) || (error = make_devices(root))) return error;
  /* In a user namespace of its own the kernel mounts a new /proc only where a whole one can be seen: each box covers it. */
  if (!maker.report.as_root && mount("/proc", AT "/proc", NULL, MS_BIND | MS_REC, NULL)) return errno;
  /* The old root goes on top of the new one, and is taken away: nothing of it stays reachable. */
  if (fchdir(root) || syscall(SYS_pivot_root, ".", ".")) return errno;
  if (umount2(".", MNT_DETACH) || chdir("/")) return errno;
  close(root);
  struct attributes last = {.set = ATTRIBUTE_READ_ONLY | ATTRIBUTE_NO_SUID};
  return syscall(SYS_mount_setattr, AT_FDCWD, "/", 0, &last, sizeof last) ? errno : 0;
}

static enum step failed;
enum step scratch_failed_step(void) { return failed; }

static char tmp_options[128], work_options[128];

/* Once for all boxes of a slot: to print a number costs more than it seems. */
void scratch_prepare(uid_t owner, gid_t group) {
  unsigned long long bytes = maker.config.disk_bytes, files = maker.config.disk_files;
  snprintf(tmp_options, sizeof tmp_options, "mode=1777,size=%llu,nr_inodes=%llu", bytes, files);
  snprintf(work_options, sizeof work_options, "mode=755,uid=%u,gid=%u,size=%llu,nr_inodes=%llu", owner, group, bytes, files);
}

int scratch_mount(void) {
  failed = STEP_PROC;
  /* Read-only as a whole: /proc/sys, sysrq-trigger and the box's own maps and scores alike. */
  if (mount("proc", "/proc", "proc", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL)) return errno;
  failed = STEP_SCRATCH;
  if (mount("tmp", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, tmp_options)) return errno;
  return mount("work", "/work", "tmpfs", MS_NOSUID | MS_NODEV, work_options) ? errno : 0;
}
