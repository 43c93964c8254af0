/*
 * The keeper of a slot: makes one box after the other, never two at a time. It stands in the slot's control groups,
 * network and identity namespaces, so that a box is born with them.
 */
#include "wire.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void unfit(uint32_t slot, int socket, enum step step, int error) {
  struct box_message message = {.kind = SAY_UNFIT, .step = step, .error = (uint32_t)error, .generation = (uint64_t)slot << 40};
  say(socket, &message, sizeof message, NULL, 0);
  _exit(1);
}

/* In a child of its own: whoever makes a user namespace is in it for good. */
static void make_user_namespace(uint32_t slot, int done, int until) {
  uid_t uid = maker.report.as_root ? maker.config.first_uid + slot : geteuid();
  gid_t gid = maker.report.as_root ? uid : getegid();
  char users[40], groups[40];
  int error = 0;
  snprintf(users, sizeof users, "1000 %u 1", uid);
  snprintf(groups, sizeof groups, "1000 %u 1", gid);
  if (maker.report.as_root && (setresgid(uid, uid, uid) || setresuid(uid, uid, uid))) error = errno;
  else if (unshare(CLONE_NEWUSER)) error = errno;
  else {
    prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    if (write_file_at(maker.proc, "self/setgroups", "deny") || write_file_at(maker.proc, "self/uid_map", users) ||
        write_file_at(maker.proc, "self/gid_map", groups))
      error = errno;
    /* Beside the seccomp filter: no user namespace below this one. */
    else if (write_file_at(maker.proc, "sys/user/max_user_namespaces", "0") && errno != EROFS) error = errno;
  }
  if (write(done, &error, sizeof error) != sizeof error) _exit(1);
  _exit(read(until, &error, sizeof error) > 0); /* until the keeper has it, or died */
}

/*
 * The user namespace of the slot's boxes: one id, no capability, no power over any other namespace. It has no state
 * that a box could leave in it (its counts of processes go back with them), so the slot's boxes use it in turn.
 */
static int user_namespace(uint32_t slot, int *error) {
  int done[2], until[2], fd = -1;
  char path[40];
  if (pipe2(done, O_CLOEXEC) || pipe2(until, O_CLOEXEC)) {
    *error = errno;
    return -1;
  }
  pid_t helper = fork();
  if (helper == 0) {
    close(until[1]);
    make_user_namespace(slot, done[1], until[0]);
  }
  close(done[1]);
  close(until[0]);
  if (helper < 0) *error = errno;
  else if (read(done[0], error, sizeof *error) != sizeof *error) *error = EIO;
  else if (!*error) {
    snprintf(path, sizeof path, "%d/ns/user", helper);
    fd = openat(maker.proc, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) *error = errno;
  }
  close(done[0]);
  close(until[1]);
  if (helper > 0) waitpid(helper, NULL, 0);
  return fd;
}

/* Of all commands: their boxes are born with them. */
static void limit_always(uint32_t slot, int socket) {
  static const struct { int which; rlim_t most; } limits[] = {
    {RLIMIT_CORE, 0}, {RLIMIT_MEMLOCK, 8 << 20}, {RLIMIT_MSGQUEUE, 0}, {RLIMIT_NICE, 0}, {RLIMIT_RTPRIO, 0}, {RLIMIT_SIGPENDING, 4096},
  };
  for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
    struct rlimit now;
    if (getrlimit(limits[i].which, &now)) continue;
    rlim_t most = now.rlim_max < limits[i].most ? now.rlim_max : limits[i].most;
    struct rlimit limit = {most, most};
    if (setrlimit(limits[i].which, &limit)) unfit(slot, socket, STEP_RLIMIT, errno);
  }
}

static void wait_a_little(unsigned failures) {
  struct timespec pause = {failures > 5 ? 1 : 0, failures > 5 ? 0 : 50000000L * failures};
  nanosleep(&pause, NULL);
}

void keeper_run(uint32_t slot, int socket) {
  int error;
  pid_t parent = getppid();
  prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  prctl(PR_SET_NAME, "errand-keeper", 0, 0, 0);
  if (getppid() != parent) _exit(0);
  if ((error = cgroups_join(slot))) unfit(slot, socket, STEP_CGROUP, error);
  if (unshare(CLONE_NEWCGROUP)) unfit(slot, socket, STEP_NAMESPACES, errno);
  int users = user_namespace(slot, &error);
  if (users < 0) unfit(slot, socket, STEP_USER_NAMESPACE, error);

  /* Only what a box needs: other slots' sockets and control groups are none of its business, not even of its init. */
  if (dup3(socket, 100, O_CLOEXEC) < 0 || dup3(users, 101, O_CLOEXEC) < 0 || dup3(maker.proc, 102, O_CLOEXEC) < 0)
    unfit(slot, socket, STEP_RLIMIT, errno);
  syscall(SYS_close_range, 103, ~0u, 0);
  syscall(SYS_close_range, 3, 99, 0);
  if (dup3(100, 3, O_CLOEXEC) < 0 || dup3(101, 4, O_CLOEXEC) < 0 || dup3(102, 5, O_CLOEXEC) < 0) _exit(1);
  syscall(SYS_close_range, 6, ~0u, 0);
  socket = 3;
  users = 4;
  maker.proc = 5;

  if (maker.report.as_root) scratch_prepare(maker.config.first_uid + slot, maker.config.first_uid + slot);
  else scratch_prepare(geteuid(), getegid());

  limit_always(slot, socket);
  unsigned failures = 0;
  int networked = 0, separate = 0;
  for (uint64_t generation = ((uint64_t)slot << 40) + 1;; generation++) {
    if (!maker.config.host_network && !(networked && network_is_as_new())) {
      if ((error = network_renew())) unfit(slot, socket, STEP_NETWORK, error);
      networked = 1;
    }
    if (!(separate && ipc_is_as_new())) {
      if ((error = ipc_renew())) unfit(slot, socket, STEP_NAMESPACES, error);
      separate = 1;
    }
    pid_t box = (pid_t)syscall(SYS_clone, CLONE_NEWPID | CLONE_NEWNS | SIGCHLD, 0, 0, 0, 0);
    if (box == 0) init_run(generation, socket, users);
    if (box < 0) unfit(slot, socket, STEP_CLONE, errno);
    int status = 0;
    struct rusage used = {0};
    while (wait4(box, &status, 0, &used) < 0 && errno == EINTR) {}
    failures = WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : failures + 1;
    struct box_message gone = {
      .kind = SAY_GONE,
      .generation = generation,
      .status = status,
      .user_us = (uint64_t)used.ru_utime.tv_sec * 1000000 + (uint64_t)used.ru_utime.tv_usec,
      .system_us = (uint64_t)used.ru_stime.tv_sec * 1000000 + (uint64_t)used.ru_stime.tv_usec,
      .max_rss_kib = (uint64_t)used.ru_maxrss,
    };
    if (say(socket, &gone, sizeof gone, NULL, 0) < 0) _exit(0);
    if (failures > 1) wait_a_little(failures);
  }
}
