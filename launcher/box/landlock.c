/* The second wall around files: what is written lies in /tmp and /work, whatever the mounts say. */
#include "wire.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Later than the headers of some systems that we are built on. */
struct ruleset { uint64_t files, network, scopes; };
#define EXECUTE (1ULL << 0) /* this one and reading are left to the mounts: to allow them everywhere costs each open */
#define WRITE_FILE (1ULL << 1)
#define READ_FILE (1ULL << 2)
#define READ_DIR (1ULL << 3)
#define MAKE_CHAR (1ULL << 6)
#define MAKE_BLOCK (1ULL << 11)
#define REFER (1ULL << 13)
#define TRUNCATE (1ULL << 14)
#define IOCTL_DEV (1ULL << 15)
#define SCOPE_ABSTRACT_SOCKETS (1ULL << 0)
#define SCOPE_SIGNALS (1ULL << 1)

int landlock_abi(void) {
  long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
  return abi < 0 ? 0 : (int)abi;
}

static int allow(int ruleset, const char *path, uint64_t access) {
  struct landlock_path_beneath_attr rule = {.allowed_access = access};
  rule.parent_fd = open(path, O_PATH | O_CLOEXEC);
  if (rule.parent_fd < 0) return -1;
  long done = syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
  close(rule.parent_fd);
  return (int)done;
}

int landlock_restrict(void) {
  int abi = (int)maker.report.landlock;
  if (!abi) return 0;
  uint64_t all = ((1ULL << 13) - 1) & ~(EXECUTE | READ_FILE | READ_DIR);
  if (abi >= 2) all |= REFER;
  if (abi >= 3) all |= TRUNCATE;
  if (abi >= 5) all |= IOCTL_DEV;
  struct ruleset rules = {.files = all, .scopes = abi >= 6 ? SCOPE_ABSTRACT_SOCKETS | SCOPE_SIGNALS : 0};
  size_t size = abi >= 6 ? 24 : abi >= 4 ? 16 : 8;
  int ruleset = (int)syscall(SYS_landlock_create_ruleset, &rules, size, 0);
  if (ruleset < 0) return errno;
  uint64_t scratch = all & ~(MAKE_CHAR | MAKE_BLOCK | IOCTL_DEV);
  if (allow(ruleset, "/tmp", scratch) || allow(ruleset, "/work", scratch) || allow(ruleset, "/dev", all & (WRITE_FILE | IOCTL_DEV)) ||
      syscall(SYS_landlock_restrict_self, ruleset, 0)) {
    int error = errno;
    close(ruleset);
    return error;
  }
  close(ruleset);
  return 0;
}
