/* Limits of a whole box, by control groups of either version. A group belongs to a slot, made once, before its keeper. */
#include "wire.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LEAF "errand-launcher"

enum { MEMORY, PIDS, CPU, CONTROLLERS };
static const char *const controller_names[CONTROLLERS] = {"memory", "pids", "cpu"};
/* Version 1: a folder of ours in each hierarchy. Version 2: all three are one. */
static int folders[CONTROLLERS] = {-1, -1, -1};
static int parents[CONTROLLERS] = {-1, -1, -1};
static char own_name[64];

static char *read_text(const char *path) {
  FILE *file = fopen(path, "re");
  if (!file) return NULL;
  char *text = NULL;
  size_t size = 0;
  ssize_t got = getdelim(&text, &size, 0, file);
  fclose(file);
  if (got >= 0) return text;
  free(text);
  return NULL;
}

static int has_word(const char *list, const char *word, const char *separators) {
  size_t length = strlen(word);
  for (const char *at = list; (at = strstr(at, word)); at += length)
    if ((at == list || strchr(separators, at[-1])) && (!at[length] || strchr(separators, at[length]))) return 1;
  return 0;
}

/* Where a hierarchy is mounted: "controller" of version 1, or NULL for version 2. */
static int find_mount(const char *controller, char mount[512], char root[512]) {
  char *table = read_text("/proc/self/mountinfo"), *save;
  int found = 0;
  for (char *line = table ? strtok_r(table, "\n", &save) : NULL; line && !found; line = strtok_r(NULL, "\n", &save)) {
    char *type = strstr(line, " - ");
    char kind[32], options[512];
    if (!type || sscanf(line, "%*d %*d %*s %511s %511s", root, mount) != 2) continue;
    if (sscanf(type, " - %31s %*s %511s", kind, options) != 2) continue;
    found = controller ? !strcmp(kind, "cgroup") && has_word(options, controller, ",") : !strcmp(kind, "cgroup2");
  }
  free(table);
  return found;
}

/* The group that this process is in, in the hierarchy of a controller or (NULL) of version 2. */
static int find_own(const char *controller, char path[512]) {
  char *table = read_text("/proc/self/cgroup"), *save;
  int found = 0;
  for (char *line = table ? strtok_r(table, "\n", &save) : NULL; line && !found; line = strtok_r(NULL, "\n", &save)) {
    char *names = strchr(line, ':'), *where = names ? strchr(names + 1, ':') : NULL;
    if (!where) continue;
    *where++ = 0;
    names++;
    found = controller ? has_word(names, controller, ",") : !strncmp(line, "0", 1) && !*names;
    if (found) snprintf(path, 512, "%s", where);
  }
  free(table);
  return found;
}

static int open_own(const char *controller) {
  char mount[512], root[512], own[512], path[1100];
  if (!find_mount(controller, mount, root) || !find_own(controller, own)) return -1;
  const char *below = own;
  size_t shared = strlen(root);
  if (shared > 1 && !strncmp(own, root, shared)) below = own + shared; /* a container sees the middle of the tree as its root */
  /* Moved there by the maker of another launcher of this server: see open_version_2. */
  size_t length = strlen(below), leaf = strlen("/" LEAF);
  if (length >= leaf && !strcmp(below + length - leaf, "/" LEAF)) length -= leaf;
  snprintf(path, sizeof path, "%s%.*s", mount, length > 1 ? (int)length : 0, below);
  return open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

/* Groups that a maker left behind which had no time to clean up. They hold no process, or they would not go. */
static void sweep(int parent) {
  int fd = openat(parent, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *entries = fd < 0 ? NULL : fdopendir(fd);
  if (!entries) return;
  for (struct dirent *entry; (entry = readdir(entries));) {
    int pid;
    if (sscanf(entry->d_name, "errand-box.%d", &pid) != 1 || !kill(pid, 0) || errno != ESRCH) continue;
    for (uint32_t slot = 0; slot < BOX_MAX_SLOTS; slot++) {
      char name[96];
      snprintf(name, sizeof name, "%.60s/%u", entry->d_name, slot);
      if (unlinkat(parent, name, AT_REMOVEDIR) && errno == ENOENT && slot > 64) break;
    }
    unlinkat(parent, entry->d_name, AT_REMOVEDIR);
  }
  closedir(entries);
}

static int make_own(int c, int parent) {
  sweep(parent);
  if (mkdirat(parent, own_name, 0755) && errno != EEXIST) return -1;
  folders[c] = openat(parent, own_name, O_PATH | O_DIRECTORY | O_CLOEXEC);
  parents[c] = parent;
  return folders[c] < 0 ? -1 : 0;
}

static int open_version_1(void) {
  for (int c = 0; c < CONTROLLERS; c++) {
    int parent = open_own(controller_names[c]);
    if (parent < 0 || make_own(c, parent)) return -1;
  }
  return 0;
}

static pid_t parent_of(pid_t pid) {
  char path[40], text[512];
  int parent = 0;
  snprintf(path, sizeof path, "%d/stat", pid);
  int fd = openat(maker.proc, path, O_RDONLY | O_CLOEXEC);
  ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
  if (fd >= 0) close(fd);
  text[got > 0 ? got : 0] = 0;
  const char *after_name = strrchr(text, ')');
  return after_name && sscanf(after_name + 1, " %*c %d", &parent) == 1 ? parent : 0;
}

static int is_ours(pid_t pid) {
  pid_t launcher = getppid(), server = parent_of(launcher);
  if (pid == getpid() || pid == launcher) return 1;
  if (server <= 1) return pid == server;
  if (parent_of(pid) == server) return 1;
  for (pid_t at = server; at > 0; at = parent_of(at))
    if (at == pid) return 1;
  return 0;
}

/*
 * To the leaf: this maker, its launcher, the server, what the server started and what started it. Of a group that was delegated to
 * a plain user everything, for then all in it is the server's. Where root shares its group with strangers nobody is moved.
 */
static int move_to_leaf(int parent) {
  char list[16384], pid[24];
  int fd = openat(parent, "cgroup.procs", O_RDONLY | O_CLOEXEC);
  ssize_t got = fd < 0 ? -1 : read(fd, list, sizeof list - 1);
  if (fd >= 0) close(fd);
  if (got < 0) return -1;
  list[got] = 0;
  for (int is_moving = 0; is_moving < 2; is_moving++) {
    if (is_moving && mkdirat(parent, LEAF, 0755) && errno != EEXIST) return -1;
    for (char *at = list, *next; ; at = next) {
      pid_t one = (pid_t)strtol(at, &next, 10);
      if (next == at) break;
      if (!is_moving && !geteuid() && !is_ours(one)) return -1;
      snprintf(pid, sizeof pid, "%d", one);
      if (is_moving && write_file_at(parent, LEAF "/cgroup.procs", pid) && errno != ESRCH) return -1;
    }
  }
  return 0;
}

static int open_version_2(void) {
  int parent = open_own(NULL);
  if (parent < 0) return -1;
  char list[512] = "";
  int fd = openat(parent, "cgroup.controllers", O_RDONLY | O_CLOEXEC);
  if (fd < 0 || read(fd, list, sizeof list - 1) <= 0) return -1;
  close(fd);
  for (int c = 0; c < CONTROLLERS; c++)
    if (!has_word(list, controller_names[c], " \n")) return -1;
  /* A group with processes of its own gives no controllers to its children (the root aside). */
  static const char give[] = "+memory +pids +cpu";
  if (write_file_at(parent, "cgroup.subtree_control", give) &&
      (move_to_leaf(parent) || write_file_at(parent, "cgroup.subtree_control", give)))
    return -1;
  if (make_own(0, parent) || write_file_at(folders[0], "cgroup.subtree_control", give)) return -1;
  folders[PIDS] = folders[CPU] = folders[0];
  return 0;
}

/*
 * All boxes of a pool are one group, which by itself would count as much as any one process beside it. Some for each core
 * is what as many commands without groups would have, and leaves a server its part.
 */
static void weigh(void) {
  int two = maker.report.cgroups == 2;
  long most = two ? 10000 : 262144, one = two ? 100 : 1024, cores = sysconf(_SC_NPROCESSORS_ONLN);
  long weight = 4 * (cores > 0 ? cores : 1) * one;
  char text[24];
  snprintf(text, sizeof text, "%ld", weight < most ? weight : most);
  /* Without it all works, only slower where others are busy. */
  if (write_file_at(folders[CPU], two ? "cpu.weight" : "cpu.shares", text)) errno = 0;
}

void cgroups_find(void) {
  snprintf(own_name, sizeof own_name, "errand-box.%d", getpid());
  if (!open_version_2()) maker.report.cgroups = 2;
  else {
    cgroups_close();
    if (!open_version_1()) maker.report.cgroups = 1;
    else cgroups_close();
  }
  if (maker.report.cgroups) weigh();
}

static int distinct(void) { return maker.report.cgroups == 2 ? 1 : CONTROLLERS; }

static int open_in(int c, uint32_t slot, const char *file, int flags) {
  char path[64];
  snprintf(path, sizeof path, "%u/%s", slot, file);
  return openat(folders[c], path, flags | O_CLOEXEC);
}

int cgroups_make(uint32_t slot, int limit_fds[LIMIT_FDS]) {
  for (int i = 0; i < LIMIT_FDS; i++) limit_fds[i] = -1;
  if (!maker.report.cgroups) return 0;
  char name[16];
  snprintf(name, sizeof name, "%u", slot);
  for (int c = 0; c < distinct(); c++)
    if (mkdirat(folders[c], name, 0755) && errno != EEXIST) return errno;
  int two = maker.report.cgroups == 2;
  limit_fds[LIMIT_MEMORY] = open_in(MEMORY, slot, two ? "memory.max" : "memory.limit_in_bytes", O_RDWR);
  limit_fds[LIMIT_PROCESSES] = open_in(PIDS, slot, "pids.max", O_RDWR);
  limit_fds[LIMIT_CPU] = open_in(CPU, slot, two ? "cpu.max" : "cpu.cfs_quota_us", O_RDWR);
  limit_fds[LIMIT_EVENTS] = open_in(MEMORY, slot, two ? "memory.events" : "memory.oom_control", O_RDONLY);
  if (limit_fds[LIMIT_MEMORY] < 0 || limit_fds[LIMIT_PROCESSES] < 0 || limit_fds[LIMIT_EVENTS] < 0 || limit_fds[LIMIT_CPU] < 0)
    return errno;
  /* No swap: a limit on memory that goes to the disk instead is none. Kernels without swap accounting have no such file. */
  if (two) {
    int swap = open_in(MEMORY, slot, "memory.swap.max", O_WRONLY);
    if (swap >= 0) {
      if (write(swap, "0", 1) < 0) { /* there is no swap to forbid */ }
      close(swap);
    }
  } else {
    limit_fds[LIMIT_SWAP] = open_in(MEMORY, slot, "memory.memsw.limit_in_bytes", O_RDWR);
  }
  return 0;
}

int cgroups_join(uint32_t slot) {
  for (int c = 0; maker.report.cgroups && c < distinct(); c++) {
    int fd = open_in(c, slot, "cgroup.procs", O_WRONLY);
    if (fd < 0) return errno;
    ssize_t wrote = write(fd, "0", 1);
    int error = errno;
    close(fd);
    if (wrote < 0) return error;
  }
  return 0;
}

void cgroups_remove(uint32_t slot) {
  char name[16];
  snprintf(name, sizeof name, "%u", slot);
  for (int c = 0; maker.report.cgroups && c < distinct(); c++) unlinkat(folders[c], name, AT_REMOVEDIR);
}

void cgroups_close(void) {
  for (int c = 0; c < CONTROLLERS; c++) {
    if (parents[c] >= 0) unlinkat(parents[c], own_name, AT_REMOVEDIR);
    if (parents[c] >= 0) close(parents[c]);
    if (folders[c] >= 0 && (c == 0 || folders[c] != folders[0])) close(folders[c]);
    parents[c] = folders[c] = -1;
  }
}
