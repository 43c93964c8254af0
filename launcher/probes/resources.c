/*
 * Resources: more of them than a command was given. All are bounded by their arguments, and all is given back at the end;
 * a probe that is killed on the way has its memory and processes taken by the kernel, its files lie in its own folder.
 */
#include "probes.h"

#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MIB (1l << 20)

static long meminfo_mib(const char *key) {
  char text[8192];
  const char *line = read_whole("/proc/meminfo", text, sizeof text) > 0 ? strstr(text, key) : NULL;
  return line ? atol(line + strlen(key)) / 1024 : -1;
}

static long number(const char *text) {
  long value = strtol(text, NULL, 10);
  if (value <= 0) absent("no limit is promised here");
  return value;
}

static void end_children(const pid_t *children, long count) {
  for (long i = 0; i < count; i++) kill(children[i], SIGKILL);
  while (waitpid(-1, NULL, 0) > 0 || errno == EINTR) continue;
}

static _Noreturn void wait_for_end(void) {
  for (;;) pause();
}

/* So that they end with us, however we end. */
static void end_with(pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(0);
}

static void fork_bomb(int argc, char **argv) {
  long most = number(argv[0]), count = 0;
  pid_t *children = calloc((size_t)most, sizeof *children), self = getpid();
  int error = 0;
  (void)argc;
  for (; count < most; count++) {
    pid_t pid = fork();
    if (pid == 0) {
      end_with(self);
      wait_for_end();
    }
    if (pid < 0) {
      error = errno;
      break;
    }
    children[count] = pid;
  }
  end_children(children, count);
  if (count == most) hit("had %ld processes", count);
  held("after %ld processes: %s", count, strerror(error));
}

static int waits(void *with) {
  (void)with;
  wait_for_end();
}

static void threads(int argc, char **argv) {
  enum { STACK = 16384 };
  long most = number(argv[0]), count = 0;
  char *stacks = mmap(NULL, (size_t)(most * STACK), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  (void)argc;
  if (stacks == MAP_FAILED) held_at("mmap");
  for (; count < most; count++)
    if (clone(waits, stacks + (count + 1) * STACK, CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM, NULL) < 0)
      held("after %ld threads: %s", count, strerror(errno));
  hit("had %ld threads", count);
}

static void refuse_if_scarce(long mib) {
  long free_mib = meminfo_mib("MemAvailable:");
  if (free_mib >= 0 && free_mib < 2 * mib) absent("this machine has %ld MiB of memory free, %ld are needed to try it safely", free_mib, 2 * mib);
}

static int takes(long mib) {
  for (long i = 0; i < mib; i++) {
    char *block = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED) return errno;
    for (long at = 0; at < MIB; at += 4096) block[at] = 1;
  }
  return 0;
}

static void memory_bomb(int argc, char **argv) {
  long most = number(argv[0]);
  (void)argc;
  refuse_if_scarce(most);
  int error = takes(most);
  if (error) held("%s", strerror(error));
  hit("took %ld MiB", most);
}

/* In four processes at once: a limit for each process alone lets it pass. */
static void memory_in_parts(int argc, char **argv) {
  long most = number(argv[0]);
  pid_t children[4], self = getpid();
  int told[2], failed = 0;
  (void)argc;
  refuse_if_scarce(most);
  if (pipe(told)) held_at("pipe");
  for (int i = 0; i < 4; i++) {
    children[i] = fork();
    if (children[i] < 0) held_at("fork");
    if (children[i]) continue;
    end_with(self);
    close(told[0]);
    char result = takes(most / 4) ? 'n' : 'y';
    if (write(told[1], &result, 1) != 1) _exit(1);
    close(told[1]);
    wait_for_end();
  }
  close(told[1]);
  int answers = 0;
  /* One that is killed says nothing, and the others wait: a look at who is still there from time to time. */
  fcntl(told[0], F_SETFL, O_NONBLOCK);
  while (answers < 4 && !failed) {
    char result;
    ssize_t got = read(told[0], &result, 1);
    if (got == 1) answers++, failed += result == 'n';
    if (got == 1) continue;
    if (waitpid(-1, NULL, WNOHANG) > 0) failed++;
    nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
  }
  end_children(children, 4);
  if (failed) held("one of its processes got no more");
  hit("took %ld MiB in four processes", most);
}

/* MIB FOLDER: removed at once, so that nothing stays whatever happens. */
static void fill_disk(int argc, char **argv) {
  static char block[MIB];
  long most = number(argv[0]), count = 0;
  struct statvfs about;
  char path[4096];
  (void)argc;
  struct statfs kind;
  if (statvfs(argv[1], &about) || statfs(argv[1], &kind)) held_at(argv[1]);
  if (kind.f_type == 0x01021994L /* tmpfs: files there are memory */) refuse_if_scarce(most);
  snprintf(path, sizeof path, "%s/errand-probe-fill-%d", argv[1], getpid());
  int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) held_at(argv[1]);
  unlink(path);
  if ((long)(about.f_bavail * about.f_frsize / MIB) < most) held("there is room for %ld MiB", (long)(about.f_bavail * about.f_frsize / MIB));
  memset(block, 1, sizeof block);
  for (; count < most; count++) {
    ssize_t written = write(fd, block, sizeof block);
    if (written < 0) held("after %ld MiB: %s", count, strerror(errno));
    if (written < MIB) held("after %ld MiB: no more room", count);
  }
  hit("wrote %ld MiB to %s", most, argv[1]);
}

static void file_bomb(int argc, char **argv) {
  long most = number(argv[0]), count = 0;
  struct statvfs about;
  char name[64];
  (void)argc;
  if (mkdir("errand-probe-files", 0700) || chdir("errand-probe-files")) held_at("mkdir");
  if (statvfs(".", &about) == 0 && about.f_favail > 0 && (long)about.f_favail < most) {
    rmdir("../errand-probe-files");
    held("there is room for %ld files", (long)about.f_favail);
  }
  int error = 0;
  time_t begun = time(NULL);
  /* A busy disk takes its time, and nothing has to be proved by wearing it out. */
  for (; count < most && !error && time(NULL) - begun < 4; count++) {
    snprintf(name, sizeof name, "%ld", count);
    int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) error = errno;
    else close(fd);
  }
  for (long i = 0; i < count; i++) {
    snprintf(name, sizeof name, "%ld", i);
    unlink(name);
  }
  rmdir("../errand-probe-files");
  if (error) held("after %ld files: %s", count, strerror(error));
  hit("made %ld files, and nothing stopped it", count);
}

static void descriptor_bomb(int argc, char **argv) {
  long most = number(argv[0]);
  struct rlimit limit;
  (void)argc;
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
  }
  for (long count = 0; count < most; count++)
    if (dup(STDOUT_FILENO) < 0) held("after %ld: %s", count, strerror(errno));
  hit("had %ld files open", most);
}

static double seconds_of(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* PERCENT: of one processor, as promised. */
static void spin(int argc, char **argv) {
  long promised = number(argv[0]), processors = sysconf(_SC_NPROCESSORS_ONLN);
  pid_t children[64], self = getpid();
  int count = processors > 64 ? 64 : (int)processors;
  (void)argc;
  if (processors * 100 <= promised * 3 / 2) absent("this machine has no more processors than were promised");
  double begun = seconds_of(CLOCK_MONOTONIC);
  for (int i = 0; i < count; i++) {
    children[i] = fork();
    if (children[i] < 0) held_at("fork");
    if (children[i]) continue;
    end_with(self);
    while (seconds_of(CLOCK_MONOTONIC) - begun < 2) continue;
    _exit(0);
  }
  while (waitpid(-1, NULL, 0) > 0 || errno == EINTR) continue;
  struct rusage usage;
  getrusage(RUSAGE_CHILDREN, &usage);
  double used = (double)usage.ru_utime.tv_sec + (double)usage.ru_stime.tv_sec + (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
  long percent = (long)(100 * used / (seconds_of(CLOCK_MONOTONIC) - begun));
  if (percent > promised * 3 / 2) hit("used %ld %% of a processor where %ld are promised", percent, promised);
  held("it used %ld %% of a processor", percent);
}

static key_t key_of(const char *token) {
  uint32_t hash = 2166136261u;
  for (; *token; token++) hash = (hash ^ (unsigned char)*token) * 16777619u;
  return (key_t)(hash | 1);
}

/* leave TOKEN, then in another command: find TOKEN */
static void system_v(int argc, char **argv) {
  (void)argc;
  if (!strcmp(argv[0], "leave")) {
    int id = shmget(key_of(argv[1]), 4096, IPC_CREAT | 0666);
    char *memory = id < 0 ? (char *)-1 : shmat(id, NULL, 0);
    if (memory == (char *)-1) held_at("shmget");
    snprintf(memory, 4096, "%s", argv[1]);
    hit("left a segment");
  }
  int id = shmget(key_of(argv[1]), 0, 0);
  if (id < 0) held_at("shmget");
  char *memory = shmat(id, NULL, 0);
  int found = memory != (char *)-1 && has_token(memory, 4096, argv[1]);
  shmctl(id, IPC_RMID, NULL);
  if (found) hit("found a segment that an earlier command left");
  held("what it found was not left by the other");
}

static void host_segment(int argc, char **argv) {
  (void)argc;
  char *memory = *argv[0] == '-' ? (char *)-1 : shmat(atoi(argv[0]), NULL, SHM_RDONLY);
  if (memory == (char *)-1) held_at("shmat");
  if (has_token(memory, 256, argv[1])) hit("read a segment of the host");
  held("it read another segment of that number");
}

static void message_queue(int argc, char **argv) {
  char name[128], text[8192];
  (void)argc;
  snprintf(name, sizeof name, "/errand-%s", argv[1]);
  struct mq_attr shape = {.mq_maxmsg = 1, .mq_msgsize = 128};
  if (!strcmp(argv[0], "leave")) {
    mqd_t queue = mq_open(name, O_RDWR | O_CREAT | O_NONBLOCK, 0666, &shape);
    if (queue == (mqd_t)-1 || mq_send(queue, argv[1], strlen(argv[1]), 0)) held_at("mq_open");
    hit("left a message");
  }
  mqd_t queue = mq_open(name, O_RDWR | O_NONBLOCK);
  if (queue == (mqd_t)-1) held_at("mq_open");
  ssize_t length = mq_receive(queue, text, sizeof text, NULL);
  mq_unlink(name);
  if (length > 0 && has_token(text, (size_t)length, argv[1])) hit("found a message that an earlier command left");
  held("what it found was not left by the other");
}

static void nothing(int argc, char **argv) {
  (void)argc, (void)argv;
  hit("ran");
}

const struct probe resource_probes[] = {
  {"fork-bomb", DENIAL, "have more processes than it was given", fork_bomb, 1},
  {"threads", DENIAL, "have more threads than it was given", threads, 1},
  {"memory-bomb", DENIAL, "take more memory than it was given", memory_bomb, 1},
  {"memory-in-parts", DENIAL, "take more memory than it was given, in several processes", memory_in_parts, 1},
  {"memory-in-files", DENIAL, "take more memory than it was given, as files in /dev/shm", fill_disk, 2},
  {"fill-folder", DENIAL, "write more to its folder than it was given", fill_disk, 2},
  {"fill-tmp", DENIAL, "write more to /tmp than it was given", fill_disk, 2},
  {"file-bomb", DENIAL, "make more files than it was given", file_bomb, 1},
  {"descriptor-bomb", DENIAL, "have more files open than it was given", descriptor_bomb, 1},
  {"spin", DENIAL, "use more of the processors than it was given", spin, 1},
  {"shared-segment", LATERAL, "hand System V memory to a later command", system_v, 2},
  {"host-segment", HOST_LEAK, "read System V memory of the host", host_segment, 2},
  {"message-queue", LATERAL, "hand a message to a later command by a POSIX queue", message_queue, 2},
  {"nothing", DENIAL, "start, and end at once", nothing, 0},
  {0},
};
