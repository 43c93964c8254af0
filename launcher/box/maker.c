/* The maker: started fresh, with no environment and no descriptor but its channel, so that boxes inherit nothing. */
#include "wire.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct maker maker;
static pid_t keepers[BOX_MAX_SLOTS];
static sigset_t signals_before;

static void start_fresh(void) {
  struct sigaction standard = {.sa_handler = SIG_DFL};
  for (int signal = 1; signal < 65; signal++)
    if (signal != SIGKILL && signal != SIGSTOP) sigaction(signal, &standard, NULL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  int null = open("/dev/null", O_RDWR);
  for (int i = 0; i < 3; i++) dup2(null, i);
  syscall(SYS_close_range, 4, ~0u, 0);
  maker.channel = 3;
  fcntl(3, F_SETFD, FD_CLOEXEC);
  prctl(PR_SET_NAME, "errand-maker", 0, 0, 0);
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  /* Boxes whose keeper is killed come to us, and are waited for before their control groups are removed. */
  prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL);
  setsid();
}

static int has_capability(int capability) {
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct have[2];
  return !syscall(SYS_capget, &header, have) && (have[0].effective >> capability & 1);
}

/* What a user id of ours is outside; -1: nothing. In a user namespace (rootless containers) most are nothing. */
static long long outside(uid_t uid) {
  char text[4096];
  int fd = openat(maker.proc, "self/uid_map", O_RDONLY | O_CLOEXEC);
  ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
  if (fd >= 0) close(fd);
  if (got <= 0) return -1;
  text[got] = 0;
  char *save;
  for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
    unsigned long long inner, outer, many;
    if (sscanf(line, "%llu %llu %llu", &inner, &outer, &many) == 3 && uid >= inner && uid < inner + many) return (long long)(outer + uid - inner);
  }
  return -1;
}

/* A container's root has the name but often not the power: it then does as any other user does, as another user. */
static int become_plain(void) {
  if (geteuid() || outside(0) > 0) return 0;
  if (!has_capability(CAP_SETUID) || !has_capability(CAP_SETGID)) return EPERM;
  gid_t gid = maker.config.first_uid;
  return setgroups(0, NULL) || setresgid(gid, gid, gid) || setresuid(gid, gid, gid) ? errno : 0;
}

static int enter_user_namespace(void) {
  uid_t uid = geteuid();
  gid_t gid = getegid();
  char users[40], groups[40];
  snprintf(users, sizeof users, "%u %u 1", uid, uid);
  snprintf(groups, sizeof groups, "%u %u 1", gid, gid);
  if (unshare(CLONE_NEWUSER)) return errno;
  prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
  if (write_file_at(maker.proc, "self/setgroups", "deny") || write_file_at(maker.proc, "self/uid_map", users) ||
      write_file_at(maker.proc, "self/gid_map", groups))
    return errno;
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  return 0;
}

static void refuse(enum step step, int error) {
  struct opened opened = {.kind = SAY_OPENED};
  explain(&maker.report, step, error);
  opened.report = maker.report;
  say(maker.channel, &opened, sizeof opened, NULL, 0);
  cgroups_close();
  _exit(1);
}

static void raise_walls(void) {
  int error;
  maker.proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (maker.proc < 0) refuse(STEP_PROC, errno);
  maker.report.as_root = !geteuid() && outside(maker.config.first_uid + maker.config.slots) >= 0 && has_capability(CAP_SYS_ADMIN) && has_capability(CAP_SETUID) && has_capability(CAP_SETGID) &&
                         has_capability(CAP_NET_ADMIN);
  if (!maker.report.as_root && (error = become_plain())) refuse(STEP_USER_NAMESPACE, error);
  cgroups_find();
  if (!maker.report.as_root && (error = enter_user_namespace())) refuse(STEP_USER_NAMESPACE, error);
  if (unshare(CLONE_NEWNS | CLONE_NEWUTS)) refuse(STEP_NAMESPACES, errno);
  if (sethostname("errand", 6) || setdomainname("", 0)) refuse(STEP_NAMESPACES, errno);
  if ((error = root_build())) refuse(STEP_ROOT, error);
  if ((error = seccomp_build())) refuse(STEP_SECCOMP, error);
  maker.report.landlock = (uint32_t)landlock_abi();
}

static void start_slot(uint32_t slot) {
  int limits[LIMIT_FDS], pair[2], fds[1 + LIMIT_FDS], count = 1;
  struct slot_message message = {.kind = SAY_SLOT, .slot = slot};
  int error = cgroups_make(slot, limits);
  if (error) refuse(STEP_CGROUP, error);
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) refuse(STEP_CLONE, errno);
  pid_t pid = fork();
  if (pid < 0) refuse(STEP_CLONE, errno);
  if (pid == 0) {
    close(pair[0]);
    sigprocmask(SIG_SETMASK, &signals_before, NULL);
    signal(SIGCHLD, SIG_DFL);
    keeper_run(slot, pair[1]);
  }
  keepers[slot] = pid;
  close(pair[1]);
  fds[0] = pair[0];
  for (int i = 0; i < LIMIT_FDS; i++)
    if (limits[i] >= 0) {
      message.present |= 1u << i;
      fds[count++] = limits[i];
    }
  say(maker.channel, &message, sizeof message, fds, count);
  while (count) close(fds[--count]);
}

static void end(void) {
  for (uint32_t slot = 0; slot < maker.config.slots; slot++)
    if (keepers[slot] > 0) kill(keepers[slot], SIGKILL);
  while (waitpid(-1, NULL, 0) > 0 || errno == EINTR) {}
  for (uint32_t slot = 0; slot < maker.config.slots; slot++)
    if (keepers[slot]) cgroups_remove(slot);
  cgroups_close();
  _exit(0);
}

enum { UNMADE = 0, DEAD = -1 };

/* A keeper does not end by itself while the launcher lives: one that was killed is replaced, a moment later. */
static int reap(void) {
  int dead = 0;
  for (pid_t pid; (pid = waitpid(-1, NULL, WNOHANG)) > 0;)
    for (uint32_t slot = 0; slot < maker.config.slots; slot++)
      if (keepers[slot] == pid) keepers[slot] = DEAD;
  for (uint32_t slot = 0; slot < maker.config.slots; slot++) dead += keepers[slot] == DEAD;
  return dead;
}

static void on_child(int signal) { (void)signal; }

void box_maker_main(int argc, char **argv) {
  if (argc != 1 || strcmp(argv[0], "errand-box-maker")) return;
  start_fresh();
  ssize_t got = hear(maker.channel, &maker.config, sizeof maker.config, NULL, NULL, 0);
  if (got != sizeof maker.config || maker.config.slots > BOX_MAX_SLOTS) _exit(1);
  raise_walls();

  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  sigprocmask(SIG_BLOCK, &child, &signals_before);
  struct sigaction action = {.sa_handler = on_child};
  sigaction(SIGCHLD, &action, NULL);
  struct opened opened = {.kind = SAY_OPENED, .report = maker.report};
  if (say(maker.channel, &opened, sizeof opened, NULL, 0) < 0) end();
  for (;;) {
    struct timespec moment = {0, 100000000};
    int dead = reap();
    struct pollfd line = {.fd = maker.channel, .events = POLLIN};
    int some = ppoll(&line, 1, dead ? &moment : NULL, &signals_before);
    if (some == 0)
      for (uint32_t slot = 0; slot < maker.config.slots; slot++)
        if (keepers[slot] == DEAD) start_slot(slot);
    if (some <= 0) continue;
    struct slot_message order;
    got = hear(maker.channel, &order, sizeof order, NULL, NULL, 0);
    if (got <= 0) end();
    if (got == sizeof order && order.kind == SAY_MAKE && order.slot < maker.config.slots && keepers[order.slot] == UNMADE) start_slot(order.slot);
  }
}
