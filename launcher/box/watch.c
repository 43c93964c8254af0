/*
 * Limits without control groups: process 1 of a box, whom nobody in it can stop or signal, looks at the others in /proc.
 * More memory than allowed ends the box; more of the processors stops it for a while. Weaker than the kernel's own
 * limits: memory may be exceeded for a moment, and what the kernel holds for a box (buffers of sockets) is not seen.
 */
#include "wire.h"
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define MS 1000000ull
/* Faster than a processor fills fresh memory; the next look comes before the limit can be passed by much. */
#define BYTES_A_NS_A_CORE 12
#define MOST_CORES 8 /* more share the same memory */
#define SHORTEST_PAUSE_NS (MS / 2)
#define CPU_LOOK_NS (10 * MS)
#define CPU_CREDIT_NS (30 * MS)
#define LONGEST_PAUSE_NS (100 * MS)

static uint64_t memory_limit, page_bytes, tick_ns, cores;
static uint64_t cpu_percent, cpu_since, cpu_before, cpu_due, memory_due;
static int is_stopped;

static uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static ssize_t read_of(int proc, const char *pid, const char *name, char *text, size_t room) {
  char path[300];
  snprintf(path, sizeof path, "%s/%s", pid, name);
  int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  ssize_t got = read(fd, text, room - 1);
  close(fd);
  text[got > 0 ? got : 0] = 0;
  return got;
}

typedef uint64_t measure_one(int proc, const char *pid);

static uint64_t resident(int proc, const char *pid) {
  char text[256];
  unsigned long long pages = 0;
  if (read_of(proc, pid, "statm", text, sizeof text) <= 0 || sscanf(text, "%*s %llu", &pages) != 1) return 0;
  return pages * page_bytes;
}

/* Two lines of a file, each with its KiB. */
static uint64_t two_lines(int proc, const char *pid, const char *name, const char *one, const char *two) {
  char text[4096];
  if (read_of(proc, pid, name, text, sizeof text) <= 0) return resident(proc, pid); /* it hides, and gains nothing */
  const char *first = strstr(text, one), *second = strstr(text, two);
  if (!first || !second) return resident(proc, pid);
  return (strtoull(first + strlen(one), NULL, 10) + strtoull(second + strlen(two), NULL, 10)) * 1024;
}

static uint64_t largest;

/* Of files the kernel can take back what it has of them in memory. */
static uint64_t own_pages(int proc, const char *pid) {
  uint64_t bytes = two_lines(proc, pid, "status", "\nRssAnon:", "\nRssShmem:");
  if (bytes > largest) largest = bytes;
  return bytes;
}

/* What processes share is parted among them. To tell takes the kernel about a millisecond for each 256 MiB. */
static uint64_t own_share(int proc, const char *pid) { return two_lines(proc, pid, "smaps_rollup", "\nPss_Anon:", "\nPss_Shmem:"); }

/* Its own time, and that of all it has waited for. */
static uint64_t processor_time(int proc, const char *pid) {
  char text[1024];
  unsigned long long user, system;
  long long others_user, others_system;
  if (read_of(proc, pid, "stat", text, sizeof text) <= 0) return 0;
  const char *after_name = strrchr(text, ')'); /* the name is of the command's choosing */
  if (!after_name || sscanf(after_name + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %lld %lld", &user, &system, &others_user, &others_system) != 4)
    return 0;
  return (user + system + (uint64_t)others_user + (uint64_t)others_system) * tick_ns;
}

/* Over all processes of the box but this one, which is 1; of times also this one's, which has those of the dead. */
static uint64_t sum_of(measure_one *measure, int with_own) {
  uint64_t sum = 0;
  DIR *processes = opendir("/proc");
  if (!processes) return 0;
  for (struct dirent *entry; (entry = readdir(processes));)
    if (isdigit((unsigned char)entry->d_name[0]) && (with_own || strcmp(entry->d_name, "1"))) sum += measure(dirfd(processes), entry->d_name);
  closedir(processes);
  return sum;
}

static uint64_t in_files(void) {
  uint64_t bytes = 0;
  static const char *const folders[] = {"/work", "/tmp"};
  for (int i = 0; i < 2; i++) {
    struct statfs about;
    if (!statfs(folders[i], &about)) bytes += (about.f_blocks - about.f_bfree) * (uint64_t)about.f_bsize;
  }
  struct shm_info segments;
  if (shmctl(0, SHM_INFO, (struct shmid_ds *)&segments) >= 0) bytes += segments.shm_rss * page_bytes;
  return bytes;
}

static enum watched look_at_memory(uint64_t now) {
  uint64_t used = sum_of(resident, 0) + in_files(), cost = 0;
  if (used > memory_limit) {
    /* Or it would get more while we look closer, and hold up the look. */
    if (!is_stopped) kill(-1, SIGSTOP);
    uint64_t begun = now_ns();
    largest = 0;
    used = sum_of(own_pages, 0) + in_files();
    if (used > memory_limit && largest <= memory_limit) used = sum_of(own_share, 0) + in_files();
    if (used > memory_limit) return WATCH_OUT_OF_MEMORY;
    cost = now_ns() - begun;
    if (!is_stopped) kill(-1, SIGCONT);
  }
  uint64_t pause = (memory_limit - used) / (BYTES_A_NS_A_CORE * cores);
  if (pause < 4 * cost) pause = 4 * cost;
  if (pause < SHORTEST_PAUSE_NS) pause = SHORTEST_PAUSE_NS;
  memory_due = now + (pause > LONGEST_PAUSE_NS ? LONGEST_PAUSE_NS : pause);
  return WATCH_WELL;
}

void watch_resume(void) {
  if (!is_stopped) return;
  is_stopped = 0;
  kill(-1, SIGCONT);
}

static void look_at_processor(uint64_t now) {
  if (is_stopped) {
    watch_resume();
    cpu_due = now + CPU_LOOK_NS;
    return;
  }
  uint64_t used = sum_of(processor_time, 1) - cpu_before, allowed = (now - cpu_since) * cpu_percent / 100;
  cpu_due = now + CPU_LOOK_NS;
  if (used > allowed + CPU_CREDIT_NS) {
    is_stopped = 1;
    kill(-1, SIGSTOP);
    cpu_due = now + (used - allowed) * 100 / cpu_percent;
  } else if (used + CPU_CREDIT_NS < allowed) { /* what was not used is not saved up */
    cpu_since = now;
    cpu_before += used;
  }
}

/* Linux 6.12 and later let a task ask for short turns, and so for early ones; earlier ones do not mind. Not its children. */
static void take_short_turns(void) {
  struct { uint32_t size, policy; uint64_t flags; int32_t nice; uint32_t priority; uint64_t runtime, deadline, period; } wanted = {
    .size = 48, .flags = 1 /* SCHED_FLAG_RESET_ON_FORK */, .runtime = 500000,
  };
  syscall(SYS_sched_setattr, 0, &wanted, 0);
}

void watch_begin(const struct box_limits *limits) {
  take_short_turns();
  page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
  tick_ns = 1000000000ull / (uint64_t)sysconf(_SC_CLK_TCK);
  long online = sysconf(_SC_NPROCESSORS_ONLN);
  cores = online < 1 ? 1 : online > MOST_CORES ? MOST_CORES : (uint64_t)online;
  memory_limit = limits->memory_bytes;
  cpu_percent = limits->cpu_percent;
  cpu_since = now_ns();
  memory_due = cpu_since + 2 * MS;
  cpu_due = cpu_since + CPU_LOOK_NS;
  if (cpu_percent) cpu_before = sum_of(processor_time, 1);
}

static uint64_t next_due(void) {
  uint64_t due = UINT64_MAX;
  if (memory_limit) due = memory_due;
  if (cpu_percent && cpu_due < due) due = cpu_due;
  return due;
}

int watch_wait(struct timespec *wait) {
  uint64_t due = next_due(), now;
  if (due == UINT64_MAX) return 0;
  now = now_ns();
  uint64_t left = due > now ? due - now : 0;
  *wait = (struct timespec){(time_t)(left / 1000000000), (long)(left % 1000000000)};
  return 1;
}

enum watched watch_look(void) {
  uint64_t now = now_ns();
  if (cpu_percent && cpu_due <= now) look_at_processor(now);
  return memory_limit && memory_due <= now ? look_at_memory(now) : WATCH_WELL;
}
