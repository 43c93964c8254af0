#define _GNU_SOURCE
#include "walls.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Given to nothing else by systemd's list of users and by the container engines; 2,048 parts of it, one drawn by each of us. */
#define FIRST_UID 1900000000u
#define PARTS 2048u
#define UIDS_OF_PART 65536u
/* At the end of each part: users of sandboxes. */
#define RESERVED 1024u

static uid_t first_uid, users_taken;

static int can_become(uid_t uid) {
  pid_t child = fork();
  if (child == 0) {
    int is_able = syscall(SYS_setgroups, 0, NULL) == 0 && syscall(SYS_setresgid, uid, uid, uid) == 0 &&
                  syscall(SYS_setresuid, uid, uid, uid) == 0;
    _exit(is_able ? 0 : 1);
  }
  int status;
  return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

uid_t walls_take_user(void) {
  return first_uid == 0 ? 0 : first_uid + users_taken++ % (UIDS_OF_PART - RESERVED);
}

uid_t walls_reserved_users(uint32_t most) {
  return first_uid == 0 || most > RESERVED ? 0 : first_uid + UIDS_OF_PART - RESERVED;
}

/* Folders of control groups that ours are made in, below the one that we are in; the second one for version 1. */
static char memory_root[512], cpu_root[512];
static int version;

static int write_text(const char *folder, const char *name, const char *text) {
  char path[768];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  int file = open(path, O_WRONLY | O_CLOEXEC);
  if (file < 0) return 0;
  int is_written = write(file, text, strlen(text)) == (ssize_t)strlen(text);
  close(file);
  return is_written;
}

static ssize_t read_text(const char *path, char *text, size_t room) {
  int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return -1;
  ssize_t length = read(file, text, room - 1);
  close(file);
  text[length > 0 ? length : 0] = 0;
  return length;
}

/* Where a controller of version 1 is mounted, and in which group of it we are: "5:memory:/some/group". */
static int find_root(const char *controller, char *root, size_t room) {
  char groups[4096];
  if (read_text("/proc/self/cgroup", groups, sizeof groups) <= 0) return 0;
  for (char *line = strtok(groups, "\n"); line; line = strtok(NULL, "\n")) {
    char *controllers = strchr(line, ':');
    char *path = controllers ? strchr(controllers + 1, ':') : NULL;
    if (!path) continue;
    *path++ = 0;
    if (strcmp(controllers + 1, controller)) continue;
    snprintf(root, room, "/sys/fs/cgroup/%s%s", controller, strcmp(path, "/") ? path : "");
    return access(root, W_OK) == 0;
  }
  return 0;
}

/* Version 2: groups below ours, which must pass both controllers on. */
static int find_unified(void) {
  char passed_on[512];
  if (!find_root("", memory_root, sizeof memory_root)) return 0;
  char path[640];
  snprintf(path, sizeof path, "%s/cgroup.subtree_control", memory_root);
  if (read_text(path, passed_on, sizeof passed_on) < 0) return 0;
  return strstr(passed_on, "memory") && strstr(passed_on, "cpu");
}

static void group_path(char *path, size_t room, const char *root, const struct cage *cage) {
  snprintf(path, room, "%s/errand-%d-%u", root, (int)getpid(), cage->number);
}

static uint32_t cages_made;

static int limit_memory(const char *folder, uint32_t mib) {
  char bytes[32];
  snprintf(bytes, sizeof bytes, "%llu", (unsigned long long)mib << 20);
  if (version == 2) {
    write_text(folder, "memory.swap.max", "0");
    write_text(folder, "memory.oom.group", "1");
    return write_text(folder, "memory.max", bytes);
  }
  if (!write_text(folder, "memory.limit_in_bytes", bytes)) return 0;
  write_text(folder, "memory.memsw.limit_in_bytes", bytes);
  return 1;
}

static int limit_cpu(const char *folder, uint32_t percent) {
  char text[64];
  snprintf(text, sizeof text, version == 2 ? "%u 100000" : "%u", percent * 1000);
  return write_text(folder, version == 2 ? "cpu.max" : "cpu.cfs_quota_us", text);
}

int cage_make(struct cage *cage, uint32_t memory_mib, uint32_t cpu_percent) {
  *cage = (struct cage){.number = ++cages_made};
  char path[640];
  if (memory_mib > 0 || version == 2) {
    group_path(path, sizeof path, memory_root, cage);
    if (mkdir(path, 0700)) return errno;
    cage->has_memory = 1;
    if (memory_mib > 0 && !limit_memory(path, memory_mib)) return errno ? errno : EIO;
  }
  if (cpu_percent > 0) {
    group_path(path, sizeof path, version == 2 ? memory_root : cpu_root, cage);
    if (version == 1 && mkdir(path, 0700)) return errno;
    cage->has_cpu = version == 1;
    if (!limit_cpu(path, cpu_percent)) return errno ? errno : EIO;
  }
  return 0;
}

const char *const *cage_entries(const struct cage *cage) {
  static char paths[2][700];
  static const char *entries[3];
  int count = 0;
  for (int which = 0; which < 2; which++) {
    if (!(which == 0 ? cage->has_memory : cage->has_cpu)) continue;
    group_path(paths[count], sizeof paths[count], which == 0 ? memory_root : cpu_root, cage);
    strcat(paths[count], "/cgroup.procs");
    entries[count] = paths[count];
    count++;
  }
  entries[count] = NULL;
  return entries;
}

int cage_ran_out_of_memory(const struct cage *cage) {
  if (!cage->has_memory) return 0;
  char path[700], text[1024];
  group_path(path, sizeof path, memory_root, cage);
  strcat(path, version == 2 ? "/memory.events" : "/memory.oom_control");
  if (read_text(path, text, sizeof text) <= 0) return 0;
  char *count = strstr(text, "oom_kill ");
  return count && strtol(count + strlen("oom_kill "), NULL, 10) > 0;
}

void cage_remove(struct cage *cage) {
  char path[640];
  if (cage->has_memory) {
    group_path(path, sizeof path, memory_root, cage);
    rmdir(path);
  }
  if (cage->has_cpu) {
    group_path(path, sizeof path, cpu_root, cage);
    rmdir(path);
  }
  *cage = (struct cage){0};
}

/* In earnest: what looks as if it could be made often cannot. */
static int can_limit(void) {
  struct cage cage;
  int is_able = cage_make(&cage, 64, 100) == 0;
  cage_remove(&cage);
  return is_able;
}

uint32_t walls_open(void) {
  uint32_t part;
  if (geteuid() == 0 && getrandom(&part, sizeof part, 0) == (ssize_t)sizeof part) {
    uid_t uid = FIRST_UID + part % PARTS * UIDS_OF_PART;
    if (can_become(uid)) first_uid = uid;
  }
  version = find_root("memory", memory_root, sizeof memory_root) && find_root("cpu", cpu_root, sizeof cpu_root) ? 1
            : find_unified()                                                                                 ? 2
                                                                                                             : 0;
  /* Root without another user to become has no wall to offer. */
  uint32_t abilities = first_uid != 0 || geteuid() != 0 ? ABLE_PROCESS : 0;
  if (first_uid != 0) abilities |= ABLE_OWN_USER;
  if (version != 0 && can_limit()) abilities |= ABLE_LIMITS;
  return abilities;
}
