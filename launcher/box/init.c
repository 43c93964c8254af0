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
#include <stdlib.h>
#include <string.h>
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
  if (getrlimit((__rlimit_resource_t)which, &now)) return errno;
  if (now.rlim_max < most) most = now.rlim_max;
  struct rlimit wanted = {most, most};
  return setrlimit((__rlimit_resource_t)which, &wanted) ? errno : 0;
}

static int limit_command(void) {
  const struct box_limits *l = &request.limits;
  int weak = !maker.report.cgroups, error;
  if ((error = limit(RLIMIT_NOFILE, l->open_files)) || (error = limit(RLIMIT_FSIZE, l->file_bytes)) ||
      (error = limit(RLIMIT_CPU, l->cpu_seconds)) || (weak && (error = limit(RLIMIT_DATA, l->memory_bytes))))
    return error;
  /* Counted for this user within its namespace, which is this box alone; init is one of them. */
  return weak && l->processes ? limit(RLIMIT_NPROC, l->processes + 1) : 0;
}

/* In the child of vfork: it has init's memory, so it touches only what is its own. */
static void exec_command(int *why) {
  sigset_t none;
  sigemptyset(&none);
  setsid();
  for (int i = 0; i < 3; i++)
    if (dup2(streams[i], i) < 0) goto failed;
  if (chdir(cwd)) goto failed;
  if ((*why = limit_command())) _exit(126);
  sigprocmask(SIG_SETMASK, &none, NULL);
  environ = envp;
  if (strchr(argv[0], '/')) execve(argv[0], argv, envp);
  else execvpe(argv[0], argv, envp);
failed:
  *why = errno;
  _exit(*why == ENOENT ? 127 : 126);
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
  struct sigaction action = {.sa_handler = on_child};
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
  static volatile int why;
  pid_t command = -1;
  int ended = 0, status = 0;
  error = accept_request(fds, count);
  if (!error) {
    command = vfork();
    if (command == 0) exec_command((int *)&why);
    if (command < 0) error = errno;
  }
  for (int i = 0; i < 3; i++) close(streams[i]);
  if (error) {
    why = error;
    status = 126 << 8;
    ended = 1;
  }
  while (!ended) {
    pid_t pid;
    int how;
    while ((pid = waitpid(-1, &how, WNOHANG)) > 0)
      if (pid == command) {
        status = how;
        ended = 1;
      }
    if (ended) break;
    struct pollfd line = {.fd = socket, .events = POLLIN};
    if (ppoll(&line, 1, NULL, &all_else) <= 0) continue;
    struct box_message order;
    ssize_t got = hear(socket, &order, sizeof order, NULL, NULL, MSG_DONTWAIT);
    if (got == 0) _exit(0);
    if (got != sizeof order || order.kind != SAY_KILL || order.generation != generation) continue;
    if (order.signal == SIGKILL) kill(-1, SIGKILL);
    else kill(-command, (int)order.signal);
  }
  struct rusage used;
  getrusage(RUSAGE_CHILDREN, &used);
  message.status = status;
  message.start_error = (uint32_t)why;
  message.user_us = (uint64_t)used.ru_utime.tv_sec * 1000000 + (uint64_t)used.ru_utime.tv_usec;
  message.system_us = (uint64_t)used.ru_stime.tv_sec * 1000000 + (uint64_t)used.ru_stime.tv_usec;
  message.max_rss_kib = (uint64_t)used.ru_maxrss;
  say(socket, &message, sizeof message, NULL, 0);
  _exit(0);
}
