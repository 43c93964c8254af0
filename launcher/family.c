#define _GNU_SOURCE
#include "family.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MARKER "ERRAND_ATTEMPT="
/* So many times it is asked again who a process is that has no environment; then it surely has cleared it. */
#define MOST_BLURRED_LOOKS 20

/* A descendant of a run that was seen once. It is known again when all that tied it to the run is gone. */
struct known {
  pid_t pid;
  unsigned long long started_at;
};

/* A child of ours that lost its parent. As it is ours to wait for, its number is not given to another. */
struct orphan {
  pid_t pid;
  struct run *run;   /* NULL: could not be told */
  uint64_t before;   /* it is of a run that was started before this one */
  uint8_t is_seen, is_not_ours;
  uint8_t blurred_looks; /* 0: told */
};

static struct orphan *orphans;
static size_t orphan_count, orphan_room;
static int blurred;
static int own_children = -1;

int family_open(void) {
  char path[64];
  snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)syscall(SYS_gettid));
  own_children = open(path, O_RDONLY | O_CLOEXEC);
  return own_children >= 0;
}

int family_is_blurred(void) {
  return blurred;
}

struct stat_line {
  pid_t session;
  int is_executing;
  unsigned long long started_at;
};

/* https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html */
static int read_stat(pid_t pid, struct stat_line *line) {
  char path[32], text[2048];
  snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
  int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return 0;
  ssize_t length = read(file, text, sizeof text - 1);
  close(file);
  if (length <= 0) return 0;
  text[length] = 0;
  /* The name, in parentheses, may itself hold spaces and parentheses. What follows it begins with field 3. */
  char *at = strrchr(text, ')');
  if (!at) return 0;
  *line = (struct stat_line){0};
  int number = 2;
  int is_zombie = at[1] == ' ' && (at[2] == 'Z' || at[2] == 'X');
  for (char *field; (field = strchr(at, ' ')); at = field + 1) {
    number++;
    if (number == 6) line->session = (pid_t)strtol(field + 1, NULL, 10);
    else if (number == 22) line->started_at = strtoull(field + 1, NULL, 10);
    else if (number == 51) line->is_executing = !is_zombie && field[1] == '0';
  }
  return 1;
}

/* The value of the marker in a process's environment. -1: it has no environment now, 0: none, or another user's, 1: `key`. */
static int read_marker(pid_t pid, char *key, size_t room) {
  static char text[64 * 1024];
  char path[32];
  snprintf(path, sizeof path, "/proc/%d/environ", (int)pid);
  int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return 0;
  size_t marker = sizeof MARKER - 1, have = 0, total = 0;
  int found = 0, is_at_start = 1;
  ssize_t got;
  while (!found && (got = read(file, text + have, sizeof text - have)) > 0) {
    have += (size_t)got;
    total += (size_t)got;
    for (size_t at = 0; at + marker <= have; at++) {
      if ((at > 0 ? text[at - 1] != 0 : !is_at_start) || memcmp(text + at, MARKER, marker)) continue;
      char *end = memchr(text + at, 0, have - at);
      /* Its end is still to be read. */
      if (!end && have < sizeof text) break;
      size_t length = end ? (size_t)(end - (text + at)) - marker : room;
      if (length >= room) continue;
      memcpy(key, text + at + marker, length);
      key[length] = 0;
      found = 1;
      break;
    }
    if (have == sizeof text) {
      /* Goes on with what could be the beginning of one. */
      memmove(text, text + sizeof text / 2, sizeof text / 2);
      have = sizeof text / 2;
      is_at_start = 0;
    }
  }
  close(file);
  if (found) return 1;
  return total == 0 ? -1 : 0;
}

static int is_live(const struct run *run) {
  return run->leader != 0 && run->state <= RUN_CLEARING;
}

static struct run *run_by_key(const char *key) {
  for (struct run *run = runs_first(); run; run = run->next) {
    if (is_live(run) && strcmp(run->spec.key, key) == 0) return run;
  }
  return NULL;
}

static struct run *run_by_traces(pid_t pid, const struct stat_line *line) {
  for (struct run *run = runs_first(); run; run = run->next) {
    if (!is_live(run)) continue;
    if (run->leader == line->session) return run;
    for (uint32_t n = 0; n < run->known_count; n++) {
      if (run->known[n].pid == pid && run->known[n].started_at == line->started_at) return run;
    }
  }
  return NULL;
}

/* Whose a child is that lost its parent. */
static void tell(struct orphan *orphan) {
  char key[256];
  struct stat_line line = {0};
  int marker = read_marker(orphan->pid, key, sizeof key);
  if (marker == 1 && (orphan->run = run_by_key(key))) {
    orphan->blurred_looks = 0;
    return;
  }
  if (!read_stat(orphan->pid, &line)) return;
  orphan->run = run_by_traces(orphan->pid, &line);
  int is_unclear = !orphan->run && marker < 0 && line.is_executing;
  orphan->blurred_looks = is_unclear && orphan->blurred_looks < MOST_BLURRED_LOOKS ? orphan->blurred_looks + 1 : 0;
}

static struct orphan *orphan_of(pid_t pid) {
  for (size_t n = 0; n < orphan_count; n++) {
    if (orphans[n].pid == pid) return &orphans[n];
  }
  return NULL;
}

static struct orphan *add_orphan(pid_t pid, uint64_t before) {
  if (orphan_count == orphan_room) {
    orphan_room = orphan_room ? 2 * orphan_room : 16;
    orphans = realloc(orphans, orphan_room * sizeof *orphans);
    if (!orphans) abort();
  }
  struct orphan *orphan = &orphans[orphan_count++];
  *orphan = (struct orphan){.pid = pid, .before = before};
  return orphan;
}

typedef void visit_pid(pid_t pid, void *context);

/* All numbers of a file that names children. 0 when it cannot be read. */
static int visit_numbers(int file, visit_pid *visit, void *context) {
  char text[4096];
  off_t at = 0;
  pid_t pid = 0;
  ssize_t got;
  while ((got = pread(file, text, sizeof text, at)) > 0) {
    at += got;
    for (ssize_t n = 0; n < got; n++) {
      if (isdigit((unsigned char)text[n])) {
        pid = pid * 10 + (text[n] - '0');
      } else {
        if (pid) visit(pid, context);
        pid = 0;
      }
    }
  }
  return got == 0;
}

/* The one of now, and those that are still ending. */
static pid_t apart[8];

void family_set_apart(pid_t pid) {
  for (size_t n = 0; n < sizeof apart / sizeof *apart; n++) {
    if (apart[n]) continue;
    apart[n] = pid;
    return;
  }
}

static int is_apart(pid_t pid) {
  for (size_t n = 0; n < sizeof apart / sizeof *apart; n++) {
    if (apart[n] == pid) return 1;
  }
  return 0;
}

static void see_child(pid_t pid, void *context) {
  if (run_of_child(pid) || is_apart(pid)) return;
  struct orphan *orphan = orphan_of(pid);
  if (!orphan) {
    orphan = add_orphan(pid, *(uint64_t *)context);
    tell(orphan);
  } else if (orphan->blurred_looks > 0) {
    tell(orphan);
  }
  orphan->is_seen = 1;
}

/* One that carries no trace is of a run that lived when it was first seen. */
static void settle_stray(struct orphan *orphan) {
  struct run *candidate = NULL;
  for (struct run *run = runs_first(); run; run = run->next) {
    if (!is_live(run) || run->order > orphan->before) continue;
    if (candidate) return;
    candidate = run;
  }
  if (candidate) orphan->run = candidate;
  else if (kill(orphan->pid, SIGKILL) != 0 && errno == EPERM) orphan->is_not_ours = 1;
}

void family_look(void) {
  uint64_t newest = 0;
  for (struct run *run = runs_first(); run; run = run->next) {
    run->left = 0;
    if (run->order > newest) newest = run->order;
  }
  for (size_t n = 0; n < orphan_count; n++) orphans[n].is_seen = 0;
  visit_numbers(own_children, see_child, &newest);
  blurred = 0;
  for (size_t n = 0; n < orphan_count;) {
    struct orphan *orphan = &orphans[n];
    if (!orphan->is_seen) {
      *orphan = orphans[--orphan_count];
      continue;
    }
    if (!orphan->run && !orphan->is_not_ours) {
      if (orphan->blurred_looks > 0) blurred = 1;
      else settle_stray(orphan);
    }
    if (orphan->run) orphan->run->left++;
    n++;
  }
}

void family_child_ended(pid_t pid, const struct rusage *usage) {
  for (size_t n = 0; n < sizeof apart / sizeof *apart; n++) {
    if (apart[n] == pid) apart[n] = 0;
  }
  struct orphan *orphan = orphan_of(pid);
  if (!orphan) return;
  struct run *run = orphan->run;
  if (run) {
    if (run->left > 0) run->left--;
    run->cpu_us += (uint64_t)(usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) * 1000000 +
                   (uint64_t)(usage->ru_utime.tv_usec + usage->ru_stime.tv_usec);
    if ((uint64_t)usage->ru_maxrss > run->peak_kib) run->peak_kib = (uint64_t)usage->ru_maxrss;
  }
  *orphan = orphans[--orphan_count];
}

static void remember(struct run *run, pid_t pid) {
  struct stat_line line;
  for (uint32_t n = 0; n < run->known_count; n++) {
    if (run->known[n].pid == pid) {
      if (read_stat(pid, &line)) run->known[n].started_at = line.started_at;
      return;
    }
  }
  if (!read_stat(pid, &line)) return;
  if (run->known_count == run->known_room) {
    run->known_room = run->known_room ? 2 * run->known_room : 16;
    run->known = realloc(run->known, run->known_room * sizeof *run->known);
    if (!run->known) abort();
  }
  run->known[run->known_count++] = (struct known){.pid = pid, .started_at = line.started_at};
}

struct pids {
  pid_t *ids;
  size_t count, room;
};

static void add_pid(pid_t pid, void *context) {
  struct pids *pids = context;
  for (size_t n = 0; n < pids->count; n++) {
    if (pids->ids[n] == pid) return;
  }
  if (pids->count == pids->room) {
    pids->room = pids->room ? 2 * pids->room : 64;
    pids->ids = realloc(pids->ids, pids->room * sizeof *pids->ids);
    if (!pids->ids) abort();
  }
  pids->ids[pids->count++] = pid;
}

/* Children are told for each thread that made them. */
static void add_children(struct pids *pids, pid_t parent) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/task", (int)parent);
  DIR *threads = opendir(path);
  if (!threads) return;
  for (struct dirent *thread; (thread = readdir(threads));) {
    if (!isdigit((unsigned char)thread->d_name[0])) continue;
    snprintf(path, sizeof path, "/proc/%d/task/%.16s/children", (int)parent, thread->d_name);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) continue;
    visit_numbers(file, add_pid, pids);
    close(file);
  }
  closedir(threads);
}

uint32_t family_signal(struct run *run, int signal) {
  struct pids pids = {0};
  int has_leader = run->state == RUN_EXECUTING;
  if (has_leader) add_pid(run->leader, &pids);
  for (size_t n = 0; n < orphan_count; n++) {
    if (orphans[n].run == run) add_pid(orphans[n].pid, &pids);
  }
  /* Its descendants come to lie behind each. */
  for (size_t n = 0; n < pids.count; n++) add_children(&pids, pids.ids[n]);
  int is_group_there = has_leader;
  for (size_t n = 0; n < pids.count; n++) {
    if (pids.ids[n] != run->leader) remember(run, pids.ids[n]);
    if (getpgid(pids.ids[n]) == run->leader) is_group_there = 1;
  }
  /* The group as a whole, so that one that forks meanwhile gets it too. */
  int is_group_told = is_group_there && kill(-run->leader, signal) == 0;
  uint32_t not_ours = 0;
  for (size_t n = 0; n < pids.count; n++) {
    if (is_group_told && getpgid(pids.ids[n]) == run->leader) continue;
    if (kill(pids.ids[n], signal) == 0 || errno != EPERM) continue;
    not_ours++;
    struct orphan *orphan = orphan_of(pids.ids[n]);
    if (orphan) orphan->is_not_ours = 1;
  }
  free(pids.ids);
  return not_ours;
}

void family_not_ours(const struct run *run, char *text, size_t room) {
  size_t length = 0;
  text[0] = 0;
  for (size_t n = 0; n < orphan_count && length < room; n++) {
    if (orphans[n].run != run || !orphans[n].is_not_ours) continue;
    length += (size_t)snprintf(text + length, room - length, length ? ", %d" : "%d", (int)orphans[n].pid);
  }
}

void family_forget(struct run *run) {
  for (size_t n = 0; n < orphan_count; n++) {
    if (orphans[n].run != run) continue;
    orphans[n].run = NULL;
    orphans[n].is_not_ours = 1;
  }
  free(run->known);
  run->known = NULL;
}

void family_kill_all(void) {
  struct pids pids = {0};
  visit_numbers(own_children, add_pid, &pids);
  for (size_t n = 0; n < pids.count; n++) add_children(&pids, pids.ids[n]);
  for (size_t n = 0; n < pids.count; n++) {
    pid_t group = getpgid(pids.ids[n]);
    /* Our own is the server's as well, if it did not give us one. */
    if (group > 0 && group != getpgrp()) kill(-group, SIGKILL);
    kill(pids.ids[n], SIGKILL);
  }
  free(pids.ids);
}
