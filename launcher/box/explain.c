/* From a failed step and its errno to what a person can do about it. */
#include "wire.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int setting(const char *path) {
  char text[32] = "";
  int fd = openat(maker.proc, path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  ssize_t got = read(fd, text, sizeof text - 1);
  close(fd);
  return got > 0 ? atoi(text) : -1;
}

static void tell(struct box_report *report, enum box_code code, const char *name, const char *advice) {
  report->code = code;
  snprintf(report->name, sizeof report->name, "%s", name);
  snprintf(report->advice, sizeof report->advice, "%s", advice);
}

static void explain_user_namespace(struct box_report *report, int error) {
  if (error == ENOSPC || setting("sys/user/max_user_namespaces") == 0)
    tell(report, BOX_NO_USER_NAMESPACES, "no-user-namespaces", "Set the sysctl user.max_user_namespaces to 15000 or more.");
  else if (setting("sys/kernel/unprivileged_userns_clone") == 0)
    tell(report, BOX_NO_USER_NAMESPACES, "no-user-namespaces", "Set the sysctl kernel.unprivileged_userns_clone to 1.");
  else if (setting("sys/kernel/apparmor_restrict_unprivileged_userns") == 1)
    tell(report, BOX_NO_USER_NAMESPACES, "no-user-namespaces",
         "Install launcher/profiles/errand-launcher.apparmor in /etc/apparmor.d and load it with apparmor_parser -r.");
  else if (error == EINVAL || error == ENOSYS)
    tell(report, BOX_OLD_KERNEL, "old-kernel", "Linux 5.12 or later with CONFIG_USER_NS is needed.");
  else
    tell(report, BOX_NO_USER_NAMESPACES, "no-user-namespaces",
         "A container's seccomp profile forbids it: allow clone and unshare with CLONE_NEWUSER, or start the container with them.");
}

void explain(struct box_report *report, enum step step, int error) {
  static const char *const doing[] = {
    "", "making a user namespace", "making namespaces", "building the private root", "mounting /proc", "mounting the writable folders",
    "giving up all identity", "raising Landlock", "loading the seccomp filter", "joining control groups", "making a network namespace",
    "setting limits", "making the processes of a box",
  };
  report->error = (uint32_t)error;
  snprintf(report->text, sizeof report->text, "%s: %s", doing[step], strerror(error));
  switch (step) {
    case STEP_USER_NAMESPACE:
    case STEP_IDENTITY:
      explain_user_namespace(report, error);
      break;
    case STEP_ROOT:
      if (error == ENOSYS) tell(report, BOX_OLD_KERNEL, "old-kernel", "Linux 5.12 or later is needed (mount_setattr).");
      else if (!report->as_root && setting("sys/kernel/apparmor_restrict_unprivileged_userns") == 1) explain_user_namespace(report, error);
      else tell(report, BOX_NO_MOUNTS, "no-mounts", "Mounting is forbidden here: in a container allow mount, umount2 and pivot_root (seccomp, AppArmor).");
      break;
    case STEP_PROC:
      tell(report, BOX_NO_PROC, "no-proc", "A fresh /proc is forbidden where the container masks its own: start it with systempaths=unconfined.");
      break;
    case STEP_SECCOMP:
      tell(report, BOX_NO_SECCOMP, "no-seccomp", "A kernel with CONFIG_SECCOMP_FILTER is needed.");
      break;
    case STEP_CGROUP:
    case STEP_RLIMIT:
      tell(report, BOX_NO_LIMITS, "no-limits", "The memory, pids and cpu control groups must be writable for the launcher.");
      break;
    case STEP_NETWORK:
      tell(report, BOX_NO_NETWORK_NAMESPACES, "no-network-namespaces", "Set the sysctl user.max_net_namespaces higher; the kernel needs CONFIG_NET_NS.");
      break;
    case STEP_NAMESPACES:
    case STEP_CLONE:
      tell(report, BOX_NO_NAMESPACES, "no-namespaces", "Namespaces of mounts, processes, IPC, names and control groups are needed: see sysctl user.max_*_namespaces.");
      break;
    default:
      tell(report, BOX_BROKEN, "broken", "");
  }
}
