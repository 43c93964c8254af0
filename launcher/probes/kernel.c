/* Kernel: settings of the host, mounts, and system calls that a command has no need of. */
#include "probes.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <sys/io.h>
#endif

#define IO_URING_SETUP 425
#define FSOPEN 430
#define CLONE_3 435

/* The very value that is there: whoever may write it may as well write the path of a program that the kernel runs as root. */
static void write_back(int argc, char **argv) {
  char value[4096];
  int error = ENOENT;
  for (int i = 0; i < argc; i++) {
    ssize_t length = read_whole(argv[i], value, sizeof value);
    int fd = length < 0 ? -1 : open(argv[i], O_WRONLY | O_CLOEXEC);
    if (fd >= 0 && length > 0 && write(fd, value, (size_t)length) == length) hit("wrote to %s (the value that was there)", argv[i]);
    if (errno != ENOENT) error = errno;
    if (fd >= 0) close(fd);
  }
  errno = error;
  held_at(argv[0]);
}

static void open_for_writing(int argc, char **argv) {
  int error = ENOENT;
  for (int i = 0; i < argc; i++) {
    hit_if_opens_for_writing(argv[i]);
    if (errno != ENOENT) error = errno;
  }
  errno = error;
  held_at(argv[0]);
}

static int entries_seen;

static void open_below(const char *folder, const char *const *names, int depth) {
  DIR *entries = opendir(folder);
  for (struct dirent *entry; entries && (entry = readdir(entries));) {
    char path[1024];
    if (*entry->d_name == '.') continue;
    snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
    if (entry->d_type == DT_DIR && depth > 0) open_below(path, names, depth - 1);
    for (int i = 0; names[i]; i++) {
      if (strcmp(entry->d_name, names[i])) continue;
      entries_seen++;
      hit_if_opens_for_writing(path);
    }
  }
  if (entries) closedir(entries);
}

static void control_groups(int argc, char **argv) {
  static const char *const names[] = {"cgroup.procs", "tasks", "release_agent", "notify_on_release", "devices.allow",
                                      "memory.max", "pids.max", "memory.limit_in_bytes", "cgroup.kill", NULL};
  (void)argc, (void)argv;
  open_below("/sys/fs/cgroup", names, 4);
  held(entries_seen ? "none of %d control files opens" : "%d control files are in sight", entries_seen);
}

static int mounts_groups(void *with) {
  (void)with;
  if (unshare(CLONE_NEWNS) == 0) mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
  mkdir("errand-probe-mount", 0700);
  int error = ENODEV;
  static const char *const options[] = {"memory", "pids", "cpu", "devices", "freezer", "rdma"};
  for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
    if (mount("none", "errand-probe-mount", "cgroup", 0, options[i])) {
      error = errno;
      continue;
    }
    int agent = open("errand-probe-mount/release_agent", O_WRONLY | O_CLOEXEC);
    if (agent < 0) error = errno;
    if (agent >= 0) close(agent);
    umount2("errand-probe-mount", MNT_DETACH);
    if (agent >= 0) error = 0;
    if (agent >= 0) break;
  }
  rmdir("errand-probe-mount");
  return error;
}

static void release_agent(int argc, char **argv) {
  (void)argc, (void)argv;
  int error = in_child(mounts_groups, NULL);
  if (error == 0) hit("release_agent, which the kernel runs as root, opens for writing (nothing was written)");
  errno = error;
  held_at("mounting the control groups");
}

/* In namespaces of its own where it may have them, so that the machine's mounts stay as they are. */
static int mounts(void *with) {
  const char *kind = with;
  if (unshare(CLONE_NEWNS) == 0) mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
  mkdir("errand-probe-mount", 0700);
  int error = 0;
  if (!strcmp(kind, "bind")) {
    if (mount("/", "errand-probe-mount", NULL, MS_BIND, NULL)) error = errno;
  } else if (mount(kind, "errand-probe-mount", kind, MS_NOSUID | MS_NODEV, NULL)) error = errno;
  if (!error) umount2("errand-probe-mount", MNT_DETACH);
  rmdir("errand-probe-mount");
  return error;
}

static void mount_any(int argc, char **argv) {
  static char *const kinds[] = {"tmpfs", "bind", "proc", "sysfs"};
  int error = EPERM;
  (void)argc, (void)argv;
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    error = in_child(mounts, kinds[i]);
    if (error == 0) hit("mounted (%s)", kinds[i]);
  }
  errno = error;
  held_at("mount");
}

static void mount_new_way(int argc, char **argv) {
  (void)argc, (void)argv;
  if (syscall(FSOPEN, "tmpfs", 0) < 0) held_at("fsopen");
  hit("began to mount");
}

static int remounts(void *with) {
  struct statvfs about;
  (void)with;
  if (statvfs("/", &about)) return errno;
  if (about.f_flag & ST_RDONLY) {
    if (mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND, NULL)) return errno;
    return 0;
  }
  /* Nothing to undo here; the right to do it shows as well in a namespace of its own. */
  if (unshare(CLONE_NEWNS)) return errno;
  if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL)) return errno;
  return mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) ? errno : 0;
}

static void remount_root(int argc, char **argv) {
  (void)argc, (void)argv;
  int error = in_child(remounts, NULL);
  if (error == 0) hit("changed how the root is mounted");
  errno = error;
  held_at("remount");
}

static int unshares(void *with) { return unshare(*(const int *)with) ? errno : 0; }

static void user_namespace(int argc, char **argv) {
  int flags = CLONE_NEWUSER;
  (void)argc, (void)argv;
  int error = in_child(unshares, &flags);
  if (error == 0) hit("became root of a user namespace of its own");
  struct { uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls; } how = {.flags = CLONE_NEWUSER, .exit_signal = SIGCHLD};
  long pid = syscall(CLONE_3, &how, sizeof how);
  if (pid == 0) _exit(0);
  if (pid > 0) hit("became root of a user namespace of its own, by clone3");
  errno = error;
  held_at("unshare");
}

static void namespaces(int argc, char **argv) {
  static int flags[] = {CLONE_NEWNS, CLONE_NEWNET, CLONE_NEWPID, CLONE_NEWUTS, CLONE_NEWIPC, 0x02000000 /* cgroup */};
  int error = EPERM;
  (void)argc, (void)argv;
  for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
    error = in_child(unshares, &flags[i]);
    if (error == 0) hit("made a namespace (%x)", (unsigned)flags[i]);
  }
  errno = error;
  held_at("unshare");
}

/* The call's own word: a descriptor means that it is within reach. */
#define DOOR(function, name, call)           \
  static void function(int argc, char **argv) { \
    (void)argc, (void)argv;                  \
    long fd = call;                          \
    if (fd >= 0) hit("%s works", name);      \
    held_at(name);                           \
  }

static long try_io_uring(void) {
  uint32_t parameters[30] = {0};
  return syscall(IO_URING_SETUP, 4, parameters);
}
DOOR(io_uring, "io_uring", try_io_uring())

static long try_userfaultfd(void) {
  long fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
  return fd >= 0 ? fd : syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | 1 /* user mode only */);
}
DOOR(user_fault, "userfaultfd", try_userfaultfd())

static long try_bpf(void) {
  union bpf_attr about;
  memset(&about, 0, sizeof about);
  about.map_type = BPF_MAP_TYPE_ARRAY;
  about.key_size = about.value_size = 4;
  about.max_entries = 1;
  long fd = syscall(SYS_bpf, BPF_MAP_CREATE, &about, sizeof about);
  if (fd >= 0) return fd;
  static const char license[] = "GPL";
  struct bpf_insn program[] = {{.code = 0xb7}, {.code = 0x95}}; /* r0 = 0; exit */
  memset(&about, 0, sizeof about);
  about.prog_type = BPF_PROG_TYPE_SOCKET_FILTER;
  about.insns = (uint64_t)(uintptr_t)program;
  about.insn_cnt = 2;
  about.license = (uint64_t)(uintptr_t)license;
  return syscall(SYS_bpf, BPF_PROG_LOAD, &about, sizeof about);
}
DOOR(bpf, "bpf", try_bpf())

static long try_perf(void) {
  struct perf_event_attr about = {.type = PERF_TYPE_SOFTWARE, .size = sizeof about, .config = PERF_COUNT_SW_CPU_CLOCK, .disabled = 1,
                                  .exclude_kernel = 1, .exclude_hv = 1};
  return syscall(SYS_perf_event_open, &about, 0, -1, -1, 0);
}
DOOR(perf, "perf_event_open", try_perf())

static void new_personality(int argc, char **argv) {
  (void)argc, (void)argv;
  if (personality(READ_IMPLIES_EXEC) < 0) held_at("personality");
  hit("switched off what keeps data from being executed");
}

/* Harmless by their order: the right is asked for before the arguments, which are wrong on purpose. */
static void change_machine(int argc, char **argv) {
  int is_within_reach = 0;
  (void)argc, (void)argv;
  if (syscall(SYS_reboot, 0, 0, 0, NULL) < 0 && errno == EINVAL) is_within_reach = 1;
  if (syscall(SYS_kexec_load, 0L, 0L, NULL, 0x00ffff00L) < 0 && errno == EINVAL) is_within_reach = 1;
  if (syscall(SYS_finit_module, -1, "", 0) < 0 && errno == EBADF) is_within_reach = 1;
  if (syscall(SYS_swapon, "/nonexistent/errand", 0) < 0 && errno == ENOENT) is_within_reach = 1;
  if (is_within_reach) hit("may reboot, load modules or kernels, or swap (nothing was done)");
  held_at("reboot, init_module, kexec_load, swapon");
}

static void set_clock(int argc, char **argv) {
  (void)argc, (void)argv;
  /* Neither a time nor a zone: only the right is asked for. */
  if (syscall(SYS_settimeofday, NULL, NULL)) held_at("settimeofday");
  hit("may set the host's clock (it was not)");
}

static void host_name(int argc, char **argv) {
  char name[256], here[64];
  (void)argc;
  ssize_t length = readlink("/proc/self/ns/uts", here, sizeof here - 1);
  if (length <= 0) absent("/proc is not there");
  here[length] = 0;
  if (gethostname(name, sizeof name) || sethostname(name, strlen(name))) held_at("sethostname");
  if (strcmp(here, argv[0])) held("the name that it may change is its own");
  hit("may change the host's name (it is the same)");
}

static void kernel_log(int argc, char **argv) {
  static char text[8192];
  (void)argc, (void)argv;
  long length = syscall(SYS_syslog, 3, text, sizeof text);
  if (length > 0) hit("read the kernel's log");
  if (length == 0) errno = ENODATA;
  held_at("syslog");
}

static void addresses(int argc, char **argv) {
  char text[4096];
  (void)argc, (void)argv;
  if (read_whole("/proc/kallsyms", text, sizeof text) <= 0) held_at("/proc/kallsyms");
  for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
    if (strlen(line) > 17 && line[0] != '0') hit("read where the kernel lies in memory");
  held("the addresses are hidden");
}

static void open_to_read(int argc, char **argv) {
  (void)argc;
  int fd = open(argv[0], O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  char byte;
  if (fd < 0 || read(fd, &byte, 1) < 0) held_at(argv[0]);
  hit("read %s", argv[0]);
}

/* leave TOKEN, then in another command: find TOKEN */
static void keyring(int argc, char **argv) {
  enum { USER_KEYRING = -4, SEARCH = 10, READ = 11, UNLINK = 9 };
  char name[128], value[128] = "";
  (void)argc;
  snprintf(name, sizeof name, "errand:%s", argv[1]);
  if (!strcmp(argv[0], "leave")) {
    if (syscall(SYS_add_key, "user", name, argv[1], strlen(argv[1]), USER_KEYRING) < 0) held_at("add_key");
    hit("left a key");
  }
  long key = syscall(SYS_keyctl, SEARCH, USER_KEYRING, "user", name, 0);
  if (key < 0) held_at("keyctl");
  syscall(SYS_keyctl, READ, key, value, sizeof value - 1);
  syscall(SYS_keyctl, UNLINK, key, USER_KEYRING);
  hit("found a key that an earlier command left");
}

static void terminal_input(int argc, char **argv) {
  const char *const terminals[] = {"/dev/tty", argc > 0 ? argv[0] : ""};
  int error = ENXIO;
  for (size_t i = 0; i < 2; i++) {
    int fd = *terminals[i] ? open(terminals[i], O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK) : -1;
    if (fd >= 0 && ioctl(fd, TIOCSTI, "#") == 0) hit("typed a character on %s", terminals[i]);
    if (errno != ENOENT) error = errno;
    if (fd >= 0) close(fd);
  }
  errno = error;
  held_at("TIOCSTI");
}

static void terminal_output(int argc, char **argv) {
  (void)argc;
  int fd = *argv[0] ? open(argv[0], O_WRONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK) : -1;
  if (!*argv[0]) absent("no terminal could be made");
  if (fd < 0) held_at(argv[0]);
  if (write(fd, argv[1], strlen(argv[1])) < 0) held_at(argv[0]);
  hit("wrote on the terminal %s", argv[0]);
}

static void console_input(int argc, char **argv) {
  char subcode = 12; /* asks for the console in front, changes nothing */
  static const char *const consoles[] = {"/dev/tty0", "/dev/tty1", "/dev/console", "/dev/tty"};
  int error = ENOENT;
  (void)argc, (void)argv;
  for (size_t i = 0; i < sizeof consoles / sizeof *consoles; i++) {
    int fd = open(consoles[i], O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd >= 0 && ioctl(fd, 0x541c /* TIOCLINUX */, &subcode) >= 0) hit("spoke to the console %s", consoles[i]);
    if (errno != ENOENT) error = errno;
    if (fd >= 0) close(fd);
  }
  errno = error;
  held_at("TIOCLINUX");
}

static int calls_x32(void *with) {
  (void)with;
#if defined(__x86_64__)
  return syscall(0x40000000 | SYS_getppid) == getppid() ? 0 : 1;
#else
  return 1;
#endif
}

static int calls_i386(void *with) {
  (void)with;
#if defined(__x86_64__)
  long pid;
  __asm__ volatile("int $0x80" : "=a"(pid) : "a"(64 /* getppid */) : "memory", "r8", "r9", "r10", "r11");
  return pid == getppid() ? 0 : 1;
#else
  return 1;
#endif
}

static _Noreturn void tell_calls(int (*call)(void *), const char *what) {
#if !defined(__x86_64__)
  absent("this processor has no such system calls");
#endif
  int status = in_child(call, NULL);
  if (status == 0) hit("%s system calls work", what);
  held(status > 128 ? "%s system calls end the process" : "%s system calls do not work", what);
}

static void x32_calls(int argc, char **argv) {
  (void)argc, (void)argv;
  tell_calls(calls_x32, "x32");
}

static void i386_calls(int argc, char **argv) {
  (void)argc, (void)argv;
  tell_calls(calls_i386, "32-bit");
}

static void io_ports(int argc, char **argv) {
  (void)argc, (void)argv;
#if defined(__x86_64__)
  if (iopl(3) == 0) hit("may speak to the machine's ports");
  held_at("iopl");
#else
  absent("this processor has no ports");
#endif
}

static void no_filter(int argc, char **argv) {
  char text[8192];
  (void)argc, (void)argv;
  const char *line = read_whole("/proc/self/status", text, sizeof text) > 0 ? strstr(text, "\nSeccomp:") : NULL;
  if (!line) absent("/proc is not there");
  if (atoi(line + strlen("\nSeccomp:")) == 2) held("a seccomp filter is loaded");
  hit("no seccomp filter is loaded");
}

const struct probe kernel_probes[] = {
  {"core-pattern", ESCAPE, "name the program that the kernel runs as root for a crash", write_back, 1},
  {"module-loader", ESCAPE, "name the program that the kernel runs as root to load a module", write_back, 1},
  {"system-settings", ESCAPE, "open settings of the host's kernel for writing", open_for_writing, 1},
  {"system-request", DENIAL, "open the door to a reboot at once", open_for_writing, 1},
  {"binary-formats", ESCAPE, "open the registry of program formats for writing", open_for_writing, 1},
  {"device-settings", ESCAPE, "open settings below /sys for writing", open_for_writing, 1},
  {"tracing", HOST_LEAK, "open the kernel's tracing for writing", open_for_writing, 1},
  {"control-groups", DENIAL, "open its limits for writing", control_groups, 0},
  {"release-agent", ESCAPE, "mount the control groups to run a program as root", release_agent, 0},
  {"mount", EXPOSURE, "mount something", mount_any, 0},
  {"mount-new-way", EXPOSURE, "mount something by the new calls", mount_new_way, 0},
  {"remount-root", ESCAPE, "make its read-only root writable", remount_root, 0},
  {"user-namespace", EXPOSURE, "become root of a namespace of its own", user_namespace, 0},
  {"namespaces", EXPOSURE, "make other namespaces of its own", namespaces, 0},
  {"io-uring", EXPOSURE, "use io_uring, which filters of system calls do not see through", io_uring, 0},
  {"userfaultfd", EXPOSURE, "stop the kernel in the middle of a copy", user_fault, 0},
  {"bpf", EXPOSURE, "load a program into the kernel", bpf, 0},
  {"perf", EXPOSURE, "measure what runs", perf, 0},
  {"personality", EXPOSURE, "switch off the protection of data pages", new_personality, 0},
  {"change-machine", DENIAL, "reboot, load modules or kernels, swap", change_machine, 0},
  {"set-clock", DENIAL, "set the host's clock", set_clock, 0},
  {"host-name", DENIAL, "change the host's name", host_name, 1},
  {"kernel-log", HOST_LEAK, "read the kernel's log", kernel_log, 0},
  {"kernel-addresses", EXPOSURE, "read where the kernel lies in memory", addresses, 0},
  {"kernel-memory", HOST_LEAK, "read the kernel's memory", open_to_read, 1},
  {"keyring", LATERAL, "hand a key to a later command", keyring, 2},
  {"terminal-input", ESCAPE, "type on the terminal of the server's user", terminal_input, 0},
  {"terminal-output", LATERAL, "write on the terminal of the server's user", terminal_output, 2},
  {"console-input", ESCAPE, "speak to the machine's console", console_input, 0},
  {"calls-x32", EXPOSURE, "make system calls by their x32 numbers", x32_calls, 0},
  {"calls-i386", EXPOSURE, "make system calls as a 32-bit program", i386_calls, 0},
  {"io-ports", ESCAPE, "speak to the machine's ports", io_ports, 0},
  {"no-filter", EXPOSURE, "run without a filter of system calls", no_filter, 0},
  {0},
};
