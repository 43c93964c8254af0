/* Process 1 of a box: raises the walls around itself, waits for one command, runs it, and takes all down by dying. */
#include "wire.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static struct execute request;
static char **argv, **envp;
static const char *cwd;
static int streams[3];
/* Written by the child of vfork. */
static volatile struct { int error, stage; } fault;

static void unfit(int socket, uint64_t generation, enum step step, int error) {
  struct box_message message = {.kind = SAY_UNFIT, .step = step, .error = (uint32_t)error, .generation = generation};
  say(socket, &message, sizeof message, NULL, 0);
  _exit(1);
}

/*
 * Nothing gives any back: no_new_privs makes exec ignore set-user-id bits and file capabilities, and the bits below make
 * it ignore user 0, who is not even mapped. So the bounding set (which the kernel fills again for a new user namespace)
 * bounds nothing; emptying it takes forty calls.
 */
static int drop_all_capabilities(void) {
  static const unsigned long locked = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP | SECBIT_NO_SETUID_FIXUP_LOCKED |
                                      SECBIT_KEEP_CAPS_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct none[2];
  memset(none, 0, sizeof none);
  if (prctl(PR_SET_SECUREBITS, locked, 0, 0, 0)) return errno;
  return syscall(SYS_capset, &header, none) ? errno : 0;
}

static void become_nobody(uint64_t generation, int socket, int users) {
  uid_t uid = maker.report.as_root ? maker.config.first_uid + (uint32_t)(generation >> 40) : 0;
  if (maker.report.as_root &&
      (setgroups(0, NULL) || setresgid(uid, uid, uid) || setresuid(uid, uid, uid)))
    unfit(socket, generation, STEP_IDENTITY, errno);
  if (setns(users, CLONE_NEWUSER)) unfit(socket, generation, STEP_IDENTITY, errno);
  int error = drop_all_capabilities();
  if (error) unfit(socket, generation, STEP_IDENTITY, error);
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) || prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0))
    unfit(socket, generation, STEP_IDENTITY, errno);
}

static int limit(int which, uint64_t most) {
  struct rlimit now;
  if (!most) return 0;
  if (getrlimit(which, &now)) return errno;
  if (now.rlim_max < most) most = now.rlim_max;
  struct rlimit wanted = {most, most};
  return setrlimit(which, &wanted) ? errno : 0;
}

/* No control groups: watch.c and limits of each process stand in. */
static int is_weak(void) { return !maker.report.cgroups; }

/* Of one process, far enough beyond what it may have that watch.c is the one to say so. */
#define BACKSTOP (1ull << 30)

static int limit_command(void) {
  const struct box_limits *l = &request.limits;
  int error;
  if ((error = limit(RLIMIT_NOFILE, l->open_files)) || (error = limit(RLIMIT_FSIZE, l->file_bytes)) ||
      (error = limit(RLIMIT_CPU, l->cpu_seconds)) || (is_weak() && l->memory_bytes && (error = limit(RLIMIT_DATA, 2 * l->memory_bytes + BACKSTOP))))
    return error;
  /* Counted for this user within its namespace, which is this box alone; init is one of them. */
  if (!is_weak()) return 0;
  /* What looks after the box, and the rest of the machine, come first. */
  if (setpriority(PRIO_PROCESS, 0, 10)) return errno;
  return l->processes ? limit(RLIMIT_NPROC, l->processes + 1) : 0;
}

/* The file may be there: what is not is then the interpreter that its first line names. */
static int is_program_there(void) {
  const char *program = argv[0], *path = getenv("PATH");
  struct stat about;
  if (!*program) return 0;
  if (strchr(program, '/')) return !stat(program, &about) && S_ISREG(about.st_mode);
  for (const char *folder = path ? path : "/bin:/usr/bin";; folder++) {
    const char *end = strchrnul(folder, ':');
    char candidate[4096];
    int length = snprintf(candidate, sizeof candidate, "%.*s%s%s", (int)(end - folder), folder, end > folder ? "/" : "", program);
    if (length < (int)sizeof candidate && !stat(candidate, &about) && S_ISREG(about.st_mode)) return 1;
    if (!*end) return 0;
    folder = end;
  }
}

/* In the child of vfork: it has init's memory, so it touches only what is its own. */
static void exec_command(void) {
  sigset_t none;
  sigemptyset(&none);
  setsid();
  fault.stage = BOX_STAGE_REQUEST;
  for (int i = 0; i < 3; i++)
    if (dup2(streams[i], i) < 0) goto failed;
  if (isatty(0)) ioctl(0, TIOCSCTTY, 0); /* one that is already another session's stays that */
  fault.stage = BOX_STAGE_FOLDER;
  if (chdir(cwd)) goto failed;
  fault.stage = BOX_STAGE_LIMITS;
  if ((errno = limit_command())) goto failed;
  fault.stage = BOX_STAGE_PROGRAM;
  sigprocmask(SIG_SETMASK, &none, NULL);
  environ = envp;
  execvpe(argv[0], argv, envp);
failed:
  fault.error = errno;
  if (fault.stage == BOX_STAGE_PROGRAM && fault.error == ENOENT && is_program_there()) fault.stage = BOX_STAGE_INTERPRETER;
  _exit(fault.stage == BOX_STAGE_PROGRAM && fault.error == ENOENT ? 127 : 126);
}

/* Splits the strings in place. The launcher is trusted, and yet a wrong count must not make us read elsewhere. */
static int unpack(char *text, size_t bytes) {
  size_t wanted = 1 + (size_t)request.argc + request.envc, found = 0;
  char **all = malloc((wanted + 3) * sizeof *all);
  if (!all || !request.argc || !bytes || text[bytes - 1]) return EINVAL;
  argv = all;
  envp = all + request.argc + 1;
  for (size_t at = 0; at < bytes && found < wanted; at += strlen(text + at) + 1, found++) {
    if (found == 0) cwd = text + at;
    else if (found <= request.argc) argv[found - 1] = text + at;
    else envp[found - 1 - request.argc] = text + at;
  }
  if (found != wanted) return EINVAL;
  argv[request.argc] = NULL;
  envp[request.envc] = NULL;
  return 0;
}

static int accept_request(const int *fds, int count) {
  int next = 0;
  for (int i = 0; i < 3; i++) {
    if (!(request.with_fds & (1u << i))) streams[i] = open("/dev/null", O_RDWR | O_CLOEXEC);
    else if (next < count) streams[i] = fds[next++];
    else return EBADF;
  }
  if (!(request.with_fds & 8)) return request.string_bytes <= INLINE_BYTES ? unpack(request.strings, request.string_bytes) : EINVAL;
  if (next >= count) return EBADF;
  void *text = mmap(NULL, request.string_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE, fds[next], 0);
  close(fds[next]);
  return text == MAP_FAILED ? errno : unpack(text, request.string_bytes);
}

static void on_child(int signal) { (void)signal; }

void init_run(uint64_t generation, int socket, int users) {
  prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  prctl(PR_SET_NAME, "errand-box", 0, 0, 0);
  int error = scratch_mount();
  if (error) unfit(socket, generation, scratch_failed_step(), error);
  become_nobody(generation, socket, users);
  syscall(SYS_close_range, socket == 3 ? 4 : 3, ~0u, 0);
  if ((error = landlock_restrict())) unfit(socket, generation, STEP_LANDLOCK, error);
  if (chdir("/work")) unfit(socket, generation, STEP_SCRATCH, errno);

  sigset_t child, all_else;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  sigprocmask(SIG_BLOCK, &child, &all_else);
  sigdelset(&all_else, SIGCHLD);
  struct sigaction action = {.sa_handler = on_child, .sa_flags = SA_NOCLDSTOP};
  sigaction(SIGCHLD, &action, NULL);
  if ((error = seccomp_load())) unfit(socket, generation, STEP_SECCOMP, error);

  struct box_message message = {.kind = SAY_READY, .generation = generation};
  if (say(socket, &message, sizeof message, NULL, 0) < 0) _exit(1);

  int fds[8], count;
  for (;;) {
    count = 8;
    ssize_t got = hear(socket, &request, sizeof request, fds, &count, 0);
    if (got <= 0) _exit(0); /* the launcher is gone */
    /* What was meant for the box before us, who died with the request on its way, must not run here. */
    if (got >= (ssize_t)offsetof(struct execute, strings) && request.kind == SAY_EXECUTE && request.generation == generation) break;
    if (got == sizeof message && request.kind == SAY_KILL && ((struct box_message *)&request)->generation == generation) _exit(0);
    while (count) close(fds[--count]);
  }

  message.kind = SAY_EXITED;
  pid_t command = -1;
  int ended = 0, status = 0, is_stopping = 0;
  fault.stage = BOX_STAGE_REQUEST;
  fault.error = accept_request(fds, count);
  if (!fault.error) {
    if (is_weak()) watch_begin(&request.limits);
    command = vfork();
    if (command == 0) exec_command();
    if (command < 0) fault.error = errno;
  }
  for (int i = 0; i < 3; i++) close(streams[i]);
  if (command < 0) {
    status = 126 << 8;
    ended = 1;
  }
  while (!ended) {
    pid_t pid;
    int how, is_over = 0;
    while ((pid = waitpid(-1, &how, WNOHANG)) > 0)
      if (pid == command) {
        status = how;
        is_over = 1;
      }
    if (is_over) command = 0;
    /* While it is being stopped, what outlives the command has its grace too. */
    if (!command && (!is_stopping || (pid < 0 && errno == ECHILD))) break;
    struct timespec wait;
    int is_watched = is_weak() && watch_wait(&wait);
    struct pollfd line = {.fd = socket, .events = POLLIN};
    int some = ppoll(&line, 1, is_watched ? &wait : NULL, &all_else);
    if (is_watched && watch_look() == WATCH_OUT_OF_MEMORY) {
      message.out_of_memory = 1;
      kill(-1, SIGKILL);
    }
    if (some <= 0) continue;
    struct box_message order;
    ssize_t got = hear(socket, &order, sizeof order, NULL, NULL, MSG_DONTWAIT);
    if (got == 0) _exit(0);
    if (got != sizeof order || order.generation != generation) continue;
    watch_resume();
    if (order.kind == SAY_STOP) {
      is_stopping = 1;
      kill(-1, SIGTERM);
      /* Those that were stopped hear TERM only once they go on. */
      kill(-1, SIGCONT);
    } else if (order.kind == SAY_KILL && order.signal == SIGKILL) {
      is_stopping = 0;
      kill(-1, SIGKILL);
    } else if (order.kind == SAY_KILL && command > 0) {
      kill(-command, (int)order.signal);
    }
  }
  struct rusage used;
  getrusage(RUSAGE_CHILDREN, &used);
  message.status = status;
  message.start_error = (uint32_t)fault.error;
  message.step = fault.error ? (uint32_t)fault.stage : BOX_STAGE_NONE;
  message.user_us = (uint64_t)used.ru_utime.tv_sec * 1000000 + (uint64_t)used.ru_utime.tv_usec;
  message.system_us = (uint64_t)used.ru_stime.tv_sec * 1000000 + (uint64_t)used.ru_stime.tv_usec;
  message.max_rss_kib = (uint64_t)used.ru_maxrss;
  say(socket, &message, sizeof message, NULL, 0);
  _exit(0);
}
