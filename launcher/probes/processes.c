/* Processes: looking into others, stopping them, becoming someone else, staying behind. */
#include "probes.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438
#endif

extern char **environ;

static char bytes[1 << 18];

static void own_environment(int argc, char **argv) {
  (void)argc;
  for (char **variable = environ; *variable; variable++)
    if (strstr(*variable, argv[0])) hit("found the server's secret in its own environment");
  held("its environment has nothing of the server's");
}

struct hunt { const char *token, *file; int seen, read; };

static void look_into(pid_t pid, void *with) {
  struct hunt *hunt = with;
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/%s", pid, hunt->file);
  ssize_t length = read_whole(path, bytes, sizeof bytes);
  hunt->seen++;
  hunt->read += length > 0;
  if (length > 0 && has_token(bytes, (size_t)length, hunt->token)) hit("found it in %s", path);
}

static _Noreturn void hunt_in(const char *file, const char *token) {
  struct hunt hunt = {.token = token, .file = file};
  each_process(look_into, &hunt);
  held("%d other processes are in sight, %d can be read, none has it", hunt.seen, hunt.read);
}

static void environments(int argc, char **argv) {
  (void)argc;
  hunt_in("environ", argv[0]);
}

static void command_lines(int argc, char **argv) {
  (void)argc;
  hunt_in("cmdline", argv[0]);
}

/* Whatever this process was born with beyond its three streams. */
static void descriptors(int argc, char **argv) {
  int open_ones = 0;
  (void)argc;
  for (int fd = 0; fd < 4096; fd++) {
    struct stat about;
    if (fstat(fd, &about)) continue;
    open_ones += fd > 2;
    if (!S_ISREG(about.st_mode)) continue;
    ssize_t length = pread(fd, bytes, 4096, 0);
    if (length > 0 && has_token(bytes, (size_t)length, argv[0])) hit("read the server's open file as descriptor %d", fd);
  }
  held("of %d descriptors beyond its streams, none has it", open_ones);
}

static void look_into_descriptors(pid_t pid, void *with) {
  struct hunt *hunt = with;
  for (int fd = 0; fd < 256; fd++) {
    char path[64];
    struct stat about;
    snprintf(path, sizeof path, "/proc/%d/fd/%d", pid, fd);
    if (stat(path, &about) || !S_ISREG(about.st_mode)) continue;
    hit_if_file_has(path, hunt->token);
  }
  hunt->seen++;
}

static void others_descriptors(int argc, char **argv) {
  struct hunt hunt = {.token = argv[0]};
  (void)argc;
  each_process(look_into_descriptors, &hunt);
  held("%d other processes are in sight, and no file of theirs has it", hunt.seen);
}

static pid_t prey(const char *text) {
  pid_t pid = atoi(text);
  if (pid <= 1) absent("there is no process to attack");
  return pid;
}

/* Whether it was the host's process that heard it, the host says. */
static void signal_host(int argc, char **argv) {
  (void)argc;
  if (kill(prey(argv[0]), SIGUSR1)) held_at("kill");
  hit("sent a signal to process %s", argv[0]);
}

/* The secret in the prey's memory tells it from a process of ours that happens to have the same number. */
static void read_memory(int argc, char **argv) {
  (void)argc;
  struct iovec ours = {bytes, 256}, theirs = {(void *)strtoull(argv[1], NULL, 16), 256};
  ssize_t length = process_vm_readv(prey(argv[0]), &ours, 1, &theirs, 1, 0);
  if (length > 0 && has_token(bytes, (size_t)length, argv[2])) hit("read the memory of process %s", argv[0]);
  if (length >= 0) errno = ESRCH;
  held_at("process_vm_readv");
}

static void memory_file(int argc, char **argv) {
  char path[64];
  (void)argc;
  snprintf(path, sizeof path, "/proc/%d/mem", prey(argv[0]));
  int fd = open(path, O_RDWR | O_CLOEXEC);
  if (fd < 0) held_at(path);
  ssize_t length = pread(fd, bytes, 256, (off_t)strtoull(argv[1], NULL, 16));
  close(fd);
  if (length > 0 && has_token(bytes, (size_t)length, argv[2])) hit("opened %s for reading and writing", path);
  held_at(path);
}

static void trace(int argc, char **argv) {
  pid_t pid = prey(argv[0]);
  (void)argc;
  if (ptrace(PTRACE_SEIZE, pid, 0, 0)) held_at("ptrace");
  int status, found = 0;
  if (ptrace(PTRACE_INTERRUPT, pid, 0, 0) == 0 && waitpid(pid, &status, __WALL) == pid) {
    for (size_t at = 0; at < 64; at += sizeof(long)) {
      long word = ptrace(PTRACE_PEEKDATA, pid, (char *)strtoull(argv[1], NULL, 16) + at, 0);
      memcpy(bytes + at, &word, sizeof word);
    }
    found = has_token(bytes, 64, argv[2]);
    ptrace(PTRACE_DETACH, pid, 0, 0);
  }
  if (found) hit("traced process %d and let it go", pid);
  held("it traced another process of that number");
}

static void steal_descriptor(int argc, char **argv) {
  (void)argc;
  int process = (int)syscall(SYS_pidfd_open, prey(argv[0]), 0);
  if (process < 0) held_at("pidfd_open");
  int fd = (int)syscall(SYS_pidfd_getfd, process, atoi(argv[1]), 0);
  if (fd < 0) held_at("pidfd_getfd");
  ssize_t length = pread(fd, bytes, 256, 0);
  if (length > 0 && has_token(bytes, (size_t)length, argv[2])) hit("took descriptor %s out of process %s", argv[1], argv[0]);
  held("it took a descriptor of another process of that number");
}

static void change_limits(int argc, char **argv) {
  struct rlimit now;
  char path[64];
  pid_t pid = prey(argv[0]);
  (void)argc;
  snprintf(path, sizeof path, "/proc/%d/cmdline", pid);
  ssize_t length = read_whole(path, bytes, sizeof bytes);
  if (length <= 0 || !has_token(bytes, (size_t)length, argv[1])) held("process %d is not in sight", pid);
  /* The same value again: it is the right that is tried. */
  if (prlimit(pid, RLIMIT_CORE, NULL, &now) || prlimit(pid, RLIMIT_CORE, &now, NULL)) held_at("prlimit");
  if (setpriority(PRIO_PROCESS, (id_t)pid, getpriority(PRIO_PROCESS, (id_t)pid))) held_at("setpriority");
  hit("may change limits and priority of process %d", pid);
}

static void join_namespaces(int argc, char **argv) {
  static const char *const kinds[] = {"mnt", "net", "pid", "ipc", "uts", "user"};
  const char *const processes[] = {argc > 0 ? argv[0] : "1", "1"};
  int refused = ENOENT;
  for (size_t p = 0; p < 2; p++)
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
      char path[64];
      snprintf(path, sizeof path, "/proc/%s/ns/%s", processes[p], kinds[i]);
      int fd = open(path, O_RDONLY | O_CLOEXEC);
      if (fd >= 0 && setns(fd, 0) == 0) hit("entered the %s namespace of process %s", kinds[i], processes[p]);
      if (fd >= 0) close(fd);
      if (errno != ENOENT) refused = errno;
    }
  errno = refused;
  held_at("setns");
}

static int becomes(void *with) {
  uid_t uid = *(const uid_t *)with;
  return setresuid(uid, uid, uid) ? errno : 0;
}

static void become_user(int argc, char **argv) {
  uid_t mine = getuid(), others[] = {0, argc > 0 ? (uid_t)atoi(argv[0]) : 0, 1, 1234};
  for (size_t i = 0; i < sizeof others / sizeof *others; i++)
    if (others[i] != mine && in_child(becomes, &others[i]) == 0) hit("became user %u from user %u", others[i], mine);
  errno = EPERM;
  held_at("setresuid");
}

static void drop_groups(int argc, char **argv) {
  (void)argc, (void)argv;
  /* Leaving a group opens what that group is forbidden. */
  if (setgroups(0, NULL)) held_at("setgroups");
  hit("left all its groups");
}

static long status_field(const char *name, char *text, int base) {
  char key[64];
  snprintf(key, sizeof key, "\n%s:", name);
  const char *line = strstr(text, key);
  return line ? (long)strtoull(line + strlen(key), NULL, base) : -1;
}

static long own_status(const char *name, int base) {
  char text[8192];
  if (read_whole("/proc/self/status", text, sizeof text) <= 0) absent("/proc is not there");
  return status_field(name, text, base);
}

static void capabilities(int argc, char **argv) {
  (void)argc, (void)argv;
  long effective = own_status("CapEff", 16), permitted = own_status("CapPrm", 16);
  if (effective || permitted) hit("has capabilities: %lx", (unsigned long)(effective | permitted));
  held("it has no capability");
}

static void new_privileges(int argc, char **argv) {
  (void)argc, (void)argv;
  if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1) held("no_new_privs is set");
  hit("no_new_privs is not set");
}

/* Only the host can tell who this is there: maps of user namespaces stand on each other, and here the last one shows. */
static void host_root(int argc, char **argv) {
  (void)argc, (void)argv;
  nanosleep(&(struct timespec){.tv_nsec = 700000000}, NULL);
  hit("was seen from outside as user %u here", getuid());
}

static void realtime(int argc, char **argv) {
  (void)argc, (void)argv;
  struct sched_param first = {.sched_priority = 1}, usual = {0};
  if (sched_setscheduler(0, SCHED_FIFO, &first)) held_at("sched_setscheduler");
  sched_setscheduler(0, SCHED_OTHER, &usual);
  hit("may run before all others");
}

/* A process that leaves its session, its parent and its environment. The host looks for it afterwards. */
static void outlive(int argc, char **argv) {
  (void)argc;
  char own[4096];
  ssize_t length = readlink("/proc/self/exe", own, sizeof own - 1);
  if (length <= 0) absent("/proc is not there");
  own[length] = 0;
  pid_t pid = fork();
  if (pid < 0) held_at("fork");
  if (pid == 0) {
    setsid();
    signal(SIGHUP, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    if (fork()) _exit(0);
    int nothing = open("/dev/null", O_RDWR);
    for (int fd = 0; fd < 3; fd++) dup2(nothing, fd);
    char *const arguments[] = {own, "neighbour", argv[0], "10", NULL}, *const nowhere[] = {NULL};
    execve(own, arguments, nowhere);
    _exit(1);
  }
  waitpid(pid, NULL, 0);
  nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
  hit("left a process behind");
}

struct near { const char *token; int seen; };

static void look_at_neighbour(pid_t pid, void *with) {
  struct near *near = with;
  char path[64];
  near->seen++;
  snprintf(path, sizeof path, "/proc/%d/cmdline", pid);
  ssize_t length = read_whole(path, bytes, sizeof bytes);
  static const char verb[] = "\0neighbour";
  const char *words = length > 0 ? memmem(bytes, (size_t)length, verb, sizeof verb) : NULL;
  if (!words || strcmp(words + sizeof verb, near->token)) return;
  if (kill(pid, 0) == 0) hit("may signal process %d of another command", pid);
  snprintf(path, sizeof path, "/proc/%d/environ", pid);
  if (read_whole(path, bytes, sizeof bytes) > 0) hit("read the environment of process %d of another command", pid);
}

static void neighbour_processes(int argc, char **argv) {
  struct near near = {.token = argv[0]};
  (void)argc;
  each_process(look_at_neighbour, &near);
  held("%d other processes are in sight, and none of another command opens", near.seen);
}

const struct probe process_probes[] = {
  {"own-environment", HOST_LEAK, "find the server's environment in its own", own_environment, 1},
  {"environments", HOST_LEAK, "read the server's environment from /proc", environments, 1},
  {"descriptors", HOST_LEAK, "read a file that the server left open for it", descriptors, 1},
  {"others-descriptors", HOST_LEAK, "read an open file of the server's from /proc", others_descriptors, 1},
  {"command-lines", HOST_LEAK, "read the arguments of the host's processes", command_lines, 1},
  {"signal-host", DENIAL, "send a signal to a process of the server's user", signal_host, 1},
  {"trace", ESCAPE, "trace a process of the server's user", trace, 3},
  {"read-memory", HOST_LEAK, "read the memory of a process of the server's user", read_memory, 3},
  {"memory-file", ESCAPE, "open the memory of a process of the server's user for writing", memory_file, 3},
  {"steal-descriptor", HOST_LEAK, "take an open file out of a process of the server's user", steal_descriptor, 3},
  {"change-limits", DENIAL, "change limits and priority of a process of the server's user", change_limits, 2},
  {"join-namespaces", ESCAPE, "enter the namespaces of a process of the host", join_namespaces, 0},
  {"become-user", ESCAPE, "become another user", become_user, 0},
  {"drop-groups", EXPOSURE, "leave its groups", drop_groups, 0},
  {"capabilities", EXPOSURE, "hold a capability of root", capabilities, 0},
  {"new-privileges", EXPOSURE, "gain privileges by executing a program", new_privileges, 0},
  {"host-root", ESCAPE, "be the host's root under another name", host_root, 1},
  {"realtime", DENIAL, "run before all other processes", realtime, 0},
  {"outlive", DENIAL, "stay behind after its end", outlive, 1},
  {"neighbour-processes", LATERAL, "signal or read a command that runs beside it", neighbour_processes, 1},
  {0},
};
