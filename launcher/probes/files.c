/* Files: reading what is not the command's, writing where it has no business, devices. */
#include "probes.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void read_file(int argc, char **argv) {
  (void)argc;
  hit_if_file_has(argv[0], argv[1]);
  held_at(argv[0]);
}

/* Whether that was the host's file, the host says: it looks for it, and removes it. */
static void write_file(int argc, char **argv) {
  (void)argc;
  int fd = open(argv[0], O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) held_at(argv[0]);
  dprintf(fd, "%s", argv[1]);
  close(fd);
  hit("made %s", argv[0]);
}

static void read_shadow(int argc, char **argv) {
  (void)argc, (void)argv;
  char text[4096];
  ssize_t length = read_whole("/etc/shadow", text, sizeof text);
  if (length > 0 && strchr(text, ':')) hit("read /etc/shadow");
  held_at("/etc/shadow");
}

static void link_to(int argc, char **argv) {
  (void)argc;
  unlink("errand-probe-link");
  if (symlink(argv[0], "errand-probe-link")) held_at("symlink");
  hit_if_file_has("errand-probe-link", argv[1]);
  held_at(argv[0]);
}

static void write_through_link(int argc, char **argv) {
  (void)argc;
  unlink("errand-probe-link");
  if (symlink(argv[0], "errand-probe-link")) held_at("symlink");
  int fd = open("errand-probe-link", O_WRONLY | O_CLOEXEC);
  if (fd < 0) held_at(argv[0]);
  if (dprintf(fd, "%s", argv[1]) < 0) held_at("write");
  close(fd);
  hit("changed %s", argv[0]);
}

static void hard_link(int argc, char **argv) {
  (void)argc;
  /* The working folder may be on another file system than the prey; a folder next to it is not. */
  char beside[4096];
  snprintf(beside, sizeof beside, "%s.link", argv[0]);
  const char *const names[] = {"errand-probe-hard-link", beside};
  for (int i = 0; i < 2; i++) {
    unlink(names[i]);
    if (linkat(AT_FDCWD, argv[0], AT_FDCWD, names[i], 0)) continue;
    char text[4096];
    ssize_t length = read_whole(names[i], text, sizeof text);
    unlink(names[i]);
    if (length > 0 && has_token(text, (size_t)length, argv[1])) hit("linked %s to a name of its own, and read it", argv[0]);
  }
  held_at(argv[0]);
}

static void hit_below(int folder, const char *path, const char *token, const char *how) {
  char up[8192] = "", text[4096];
  for (int i = 0; i < 40; i++) strcat(up, "../");
  strncat(up, path + 1, sizeof up - strlen(up) - 1);
  int fd = openat(folder, up, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  ssize_t length = fd < 0 ? -1 : read_rest(fd, text, sizeof text);
  if (fd >= 0) close(fd);
  if (length > 0 && has_token(text, (size_t)length, token)) hit("read %s upwards from %s", path, how);
}

static void leaked_folder(int argc, char **argv) {
  (void)argc;
  hit_below(AT_FDCWD, argv[0], argv[1], "the working folder");
  for (int fd = 0; fd < 1024; fd++) {
    char how[32];
    snprintf(how, sizeof how, "descriptor %d", fd);
    hit_below(fd, argv[0], argv[1], how);
  }
  held("no folder that it holds leads there");
}

static void chroot_out(int argc, char **argv) {
  (void)argc;
  mkdir("errand-probe-root", 0700);
  if (chroot("errand-probe-root")) {
    int error = errno;
    rmdir("errand-probe-root");
    errno = error;
    held_at("chroot");
  }
  /* The working folder now is outside of the root, so that .. never meets it. */
  hit_below(AT_FDCWD, argv[0], argv[1], "outside of a root of its own");
  held("it could change its root, and found nothing above");
}

static void by_handle(int argc, char **argv) {
  (void)argc;
  union { struct file_handle handle; unsigned char bytes[sizeof(struct file_handle) + MAX_HANDLE_SZ]; } name = {.bytes = {0}};
  unsigned char *bytes = name.bytes + offsetof(struct file_handle, f_handle);
  int type, read_so_far = 0;
  if (sscanf(argv[0], "%d:%n", &type, &read_so_far) != 1) absent("the host's file system gives no handles");
  const char *hex = argv[0] + read_so_far;
  name.handle.handle_type = type;
  for (unsigned byte; sscanf(hex, "%2x", &byte) == 1 && name.handle.handle_bytes < MAX_HANDLE_SZ; hex += 2)
    bytes[name.handle.handle_bytes++] = (unsigned char)byte;
  /* Any mount of the file system that holds the file will do, also of a harmless folder. */
  const char *const mounts[] = {".", "/", "/usr", "/etc", "/lib", "/opt", "/home", "/tmp", argv[1]};
  int refused = ENOENT;
  for (size_t i = 0; i < sizeof mounts / sizeof *mounts; i++) {
    int mount = open(mounts[i], O_RDONLY | O_CLOEXEC);
    int fd = mount < 0 ? -1 : open_by_handle_at(mount, &name.handle, O_RDONLY);
    char text[4096];
    if (fd < 0 && mount >= 0 && errno != ESTALE) refused = errno;
    if (fd >= 0 && read_rest(fd, text, sizeof text) > 0 && has_token(text, strlen(text), argv[2])) hit("opened by its number, past all folders");
    if (mount >= 0) close(mount);
  }
  errno = refused;
  held_at("open_by_handle_at");
}

struct prey { char **argv; };

static void look_through_root(pid_t pid, void *with) {
  char **argv = ((struct prey *)with)->argv, path[4200];
  snprintf(path, sizeof path, "/proc/%d/root%s", pid, argv[0]);
  hit_if_file_has(path, argv[1]);
}

static void through_proc(int argc, char **argv) {
  (void)argc;
  struct prey prey = {argv};
  each_process(look_through_root, &prey);
  held("no process that it sees has another root");
}

static void make_disk(int argc, char **argv) {
  (void)argc;
  unsigned major_number, minor_number;
  char text[512];
  if (sscanf(argv[0], "%u:%u", &major_number, &minor_number) != 2 || major_number == 0) absent("the data folder lies on no disk");
  unlink("errand-probe-disk");
  if (mknod("errand-probe-disk", S_IFBLK | 0600, makedev(major_number, minor_number))) held_at("mknod");
  int fd = open("errand-probe-disk", O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  int error = errno;
  unlink("errand-probe-disk");
  errno = error;
  if (fd < 0) held_at("the disk that it made a name for");
  if (pread(fd, text, sizeof text, 0) <= 0) held_at("read");
  hit("read the disk %s under a name of its own", argv[0]);
}

static int devices_held;

/* Reads of a few bytes: nothing is ever written to a device. */
static void try_devices(const char *folder, int depth, int wants_block) {
  DIR *entries = opendir(folder);
  for (struct dirent *entry; entries && (entry = readdir(entries));) {
    char path[1024], text[512];
    struct stat about;
    if (*entry->d_name == '.') continue;
    snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
    if (lstat(path, &about)) continue;
    if (S_ISDIR(about.st_mode) && depth > 0) try_devices(path, depth - 1, wants_block);
    if (!wants_block || !S_ISBLK(about.st_mode)) continue;
    devices_held++;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) continue;
    if (pread(fd, text, sizeof text, 0) > 0) hit("read %s", path);
    close(fd);
  }
  if (entries) closedir(entries);
}

static void raw_disk(int argc, char **argv) {
  (void)argc, (void)argv;
  try_devices("/dev", 2, 1);
  held(devices_held ? "none of %d disks opens" : "%d disks are in sight", devices_held);
}

static void device(int argc, char **argv) {
  for (int i = 0; i < argc; i++) {
    int fd = open(argv[i], O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 && (errno == EACCES || errno == EPERM || errno == EROFS)) fd = open(argv[i], O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd >= 0) hit("opened %s", argv[i]);
  }
  held_at(argv[0]);
}

/* A program that gives itself root's rights: one of the system's, as this very process would start it. */
static void set_user_id(int argc, char **argv) {
  (void)argc, (void)argv;
  static const char *const programs[] = {"/usr/bin/su", "/bin/su", "/usr/bin/passwd", "/usr/bin/chsh", "/usr/bin/newgrp", "/usr/bin/sudo"};
  for (size_t i = 0; i < sizeof programs / sizeof *programs; i++) {
    struct stat about;
    if (stat(programs[i], &about) || !(about.st_mode & S_ISUID) || about.st_uid != 0) continue;
    int input[2];
    if (pipe(input)) held_at("pipe");
    pid_t pid = fork();
    if (pid == 0) {
      if (getuid() == 0) {
        if (setgroups(0, NULL) || setgid(65534) || setuid(65534)) _exit(1);
      }
      dup2(input[0], 0);
      int nothing = open("/dev/null", O_WRONLY);
      dup2(nothing, 1);
      dup2(nothing, 2);
      setsid();
      execl(programs[i], programs[i], (char *)NULL);
      _exit(1);
    }
    /* It waits for a password that never comes. */
    int real = -1, effective = -1;
    for (int n = 0; n < 100 && waitpid(pid, NULL, WNOHANG) == 0; n++) {
      char path[64], text[4096];
      snprintf(path, sizeof path, "/proc/%d/status", pid);
      const char *line = read_whole(path, text, sizeof text) > 0 ? strstr(text, "\nUid:") : NULL;
      if (line && sscanf(line, "\nUid: %d %d", &real, &effective) == 2 && effective == 0 && real != 0) break;
      nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    if (effective == 0 && real > 0) hit("%s ran as root for user %d", programs[i], real);
    held("%s did not become root", programs[i]);
  }
  held("no set-user-id program is in sight");
}

static int not_ours;

static void look_at_program(pid_t pid, void *with) {
  char path[64], target[4096], own[4096];
  (void)with;
  snprintf(path, sizeof path, "/proc/%d/exe", pid);
  ssize_t length = readlink(path, target, sizeof target - 1), own_length = readlink("/proc/self/exe", own, sizeof own - 1);
  if (length <= 0 || (length == own_length && !memcmp(target, own, (size_t)length))) return;
  target[length] = 0;
  not_ours++;
  /* Opening would say "text file busy" where writing is allowed. */
  if (faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) == 0) hit("may overwrite %s, which process %d runs", target, pid);
}

static void running_programs(int argc, char **argv) {
  (void)argc, (void)argv;
  each_process(look_at_program, NULL);
  held(not_ours ? "none of %d programs that run can be changed" : "%d programs of others are in sight", not_ours);
}

static void loader(int argc, char **argv) {
  (void)argc;
  int fd = open(argv[0], O_WRONLY | O_CLOEXEC);
  if (fd < 0) held_at(argv[0]);
  if (is_the_hosts(fd, argv[1])) hit("%s opens for writing (nothing was written)", argv[0]);
  held("it is a copy of its own");
}

/* leave FOLDER TOKEN, then in another command: find FOLDER TOKEN */
static void left_file(int argc, char **argv) {
  char path[4096];
  (void)argc;
  snprintf(path, sizeof path, "%s/errand-left-%s", argv[1], argv[2]);
  if (!strcmp(argv[0], "leave")) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0) held_at(path);
    dprintf(fd, "%s", argv[2]);
    hit("left %s", path);
  }
  char text[256];
  ssize_t length = read_whole(path, text, sizeof text);
  int error = errno;
  unlink(path);
  errno = error;
  if (length > 0 && has_token(text, (size_t)length, argv[2])) hit("found what an earlier command left in %s", argv[1]);
  held_at(path);
}

struct near { const char *token; };

static void look_into_folder(pid_t pid, void *with) {
  const char *token = ((struct near *)with)->token;
  static const char *const places[] = {"cwd", "root/work", "root/tmp"};
  for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
    char path[4096];
    snprintf(path, sizeof path, "/proc/%d/%s/errand-neighbour-%s", pid, places[i], token);
    hit_if_file_has(path, token);
  }
}

/* The neighbour's folder: below the one where all of them are, beside our own, and through /proc. */
static void neighbour_files(int argc, char **argv) {
  struct near near = {argv[0]};
  each_process(look_into_folder, &near);
  for (int i = 1; i <= argc; i++) {
    const char *folder = i < argc ? argv[i] : "..";
    DIR *entries = opendir(folder);
    for (struct dirent *entry; entries && (entry = readdir(entries));) {
      char path[4096];
      snprintf(path, sizeof path, "%s/%s/errand-neighbour-%s", folder, entry->d_name, argv[0]);
      hit_if_file_has(path, argv[0]);
    }
    if (entries) closedir(entries);
  }
  held("the other command's folder was not found, or does not open");
}

const struct probe files_probes[] = {
  {"write-outside", ESCAPE, "make a file in a folder of the server's user", write_file, 2},
  {"write-settings", ESCAPE, "make a file in /etc", write_file, 2},
  {"write-programs", ESCAPE, "make a file in /usr/bin", write_file, 2},
  {"write-home", ESCAPE, "make a file in the home folder of the server's user", write_file, 2},
  {"write-through-link", ESCAPE, "change a file of the server's user through a symbolic link", write_through_link, 2},
  {"loader-cache", ESCAPE, "open the dynamic loader's cache for writing", loader, 2},
  {"running-programs", ESCAPE, "overwrite the program of a running process, as of its launcher", running_programs, 0},
  {"read-data", HOST_LEAK, "read the server's data folder", read_file, 2},
  {"read-home", HOST_LEAK, "read the home folder of the server's user", read_file, 2},
  {"read-shadow", HOST_LEAK, "read the system's password hashes", read_shadow, 0},
  {"read-through-link", HOST_LEAK, "read the server's data through a symbolic link", link_to, 2},
  {"read-through-hard-link", HOST_LEAK, "read the server's data through a hard link", hard_link, 2},
  {"read-through-proc", HOST_LEAK, "read the server's data through /proc/*/root", through_proc, 2},
  {"leaked-folder", HOST_LEAK, "read the server's data upwards from a folder that it was given", leaked_folder, 2},
  {"chroot", HOST_LEAK, "leave its root through a root of its own", chroot_out, 2},
  {"file-handle", HOST_LEAK, "open the server's data by its inode number", by_handle, 3},
  {"make-device", ESCAPE, "make a device file of the disk and read it", make_disk, 1},
  {"raw-disk", ESCAPE, "read a disk as a device", raw_disk, 0},
  {"device-memory", ESCAPE, "open the machine's memory", device, 1},
  {"device-kvm", EXPOSURE, "open the kernel's hypervisor", device, 1},
  {"device-fuse", EXPOSURE, "open the kernel's door for file systems", device, 1},
  {"device-registers", ESCAPE, "open the processor's registers", device, 1},
  {"device-log", HOST_LEAK, "open the kernel's log device", device, 1},
  {"set-user-id", ESCAPE, "become root through a set-user-id program", set_user_id, 0},
  {"left-in-tmp", LATERAL, "hand a file to a later command through /tmp", left_file, 3},
  {"left-in-var-tmp", LATERAL, "hand a file to a later command through /var/tmp", left_file, 3},
  {"left-in-shared-memory", LATERAL, "hand a file to a later command through /dev/shm", left_file, 3},
  {"neighbour-files", LATERAL, "read the folder of a command that runs beside it", neighbour_files, 1},
  {0},
};
