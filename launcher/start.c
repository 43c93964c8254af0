#define _GNU_SOURCE
#include "start.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define STACK_BYTES (256 * 1024)
/* What execvp of the C library looks through when there is no PATH. */
#define DEFAULT_PATH "/bin:/usr/bin"

static _Alignas(64) char stack[STACK_BYTES];

/* Shared with the child: it lives in our memory, while we wait. */
struct child {
  const struct start *start;
  char **shell_argv; /* for a program without a first line, room for argv and one more */
  const char *path;
  struct start_fault fault;
};

/* As execvp: a script without an interpreter line is the shell's. */
static void execute(struct child *child, const char *program) {
  const struct spec *spec = child->start->spec;
  execve(program, spec->argv, spec->envp);
  if (errno != ENOEXEC) return;
  child->shell_argv[1] = (char *)program;
  execve("/bin/sh", child->shell_argv, spec->envp);
}

/* As execvp of the C library, with the PATH of the command's own environment. Returns why nothing was executed. */
static int look_up_and_execute(struct child *child) {
  const char *program = child->start->spec->argv[0];
  size_t length = strlen(program);
  if (length == 0) return ENOENT;
  if (strchr(program, '/')) {
    execute(child, program);
    return errno;
  }
  if (length > NAME_MAX) return ENAMETOOLONG;
  int was_denied = 0;
  char candidate[PATH_MAX + NAME_MAX + 2];
  for (const char *folder = child->path;; folder++) {
    const char *end = strchrnul(folder, ':');
    size_t folder_length = (size_t)(end - folder);
    if (folder_length < PATH_MAX) {
      memcpy(candidate, folder, folder_length);
      /* An empty entry is the current folder. */
      if (folder_length > 0) candidate[folder_length] = '/';
      memcpy(candidate + folder_length + (folder_length > 0), program, length + 1);
      execute(child, candidate);
      switch (errno) {
        case EACCES: was_denied = 1; break;
        case ENOENT:
        case ESTALE:
        case ENOTDIR:
        case ENODEV:
        case ETIMEDOUT: break;
        default: return errno;
      }
    }
    if (*end == 0) break;
    folder = end;
  }
  return was_denied ? EACCES : ENOENT;
}

static int join_cgroup(const char *procs) {
  int file = open(procs, O_WRONLY | O_CLOEXEC);
  if (file < 0) return 0;
  int is_in = write(file, "0", 1) == 1;
  close(file);
  return is_in;
}

/* System calls as they are: those of the C library would tell threads that this process does not have. */
static int take_walls(uid_t uid) {
  struct rlimit no_core = {0, 0};
  if (setrlimit(RLIMIT_CORE, &no_core)) return 0;
  if (uid != 0) {
    struct rlimit processes = {4096, 4096};
    if (setrlimit(RLIMIT_NPROC, &processes)) return 0;
    if (syscall(SYS_setgroups, 0, NULL)) return 0;
    if (syscall(SYS_setresgid, uid, uid, uid)) return 0;
    if (syscall(SYS_setresuid, uid, uid, uid)) return 0;
  }
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
}

static int in_child(void *argument) {
  struct child *child = argument;
  const struct start *start = child->start;
  setsid();
  for (int n = 0; n < 3; n++) {
    if (dup2(start->streams[n], n) < 0) goto failed;
  }
  if (start->has_terminal && ioctl(STDIN_FILENO, TIOCSCTTY, 0)) goto failed;
  child->fault.is_walls = 1;
  for (const char *const *entry = start->cage; entry && *entry; entry++) {
    if (!join_cgroup(*entry)) goto failed;
  }
  if (start->has_walls && !take_walls(start->uid)) goto failed;
  child->fault.is_walls = 0;
  /* After the change of user: what it may not enter it does not work in. */
  if (chdir(spec_folder(start->spec))) {
    child->fault.is_folder = 1;
    goto failed;
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  errno = look_up_and_execute(child);
failed:
  child->fault.error = errno ? errno : EINVAL;
  syscall(SYS_exit_group, 127);
  return 0;
}

static char **make_shell_argv(char *const *argv) {
  size_t count = 0;
  while (argv[count]) count++;
  char **made = calloc(count + 2, sizeof *made);
  if (!made) abort();
  made[0] = "/bin/sh";
  if (count > 1) memcpy(made + 2, argv + 1, (count - 1) * sizeof *made);
  return made;
}

pid_t start_command(const struct start *start, struct start_fault *fault) {
  const char *path = spec_variable(start->spec, "PATH");
  struct child child = {
      .start = start,
      .shell_argv = make_shell_argv(start->spec->argv),
      .path = path ? path : DEFAULT_PATH,
  };
  /* It borrows our memory instead of copying its page tables, as vfork, and has a stack of its own, unlike that. */
  pid_t pid = clone(in_child, stack + STACK_BYTES, CLONE_VM | CLONE_VFORK | SIGCHLD, &child);
  if (pid < 0) child.fault.error = errno;
  free(child.shell_argv);
  if (child.fault.error == 0) return pid;
  if (pid >= 0) waitpid(pid, NULL, 0);
  *fault = child.fault;
  return -1;
}
