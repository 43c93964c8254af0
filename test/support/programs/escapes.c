/*
 * Attempts to get out of a box, one a run: escapes NAME [argument]. Exit 0: held; 1: it got through; 2: no such attempt.
 * Run without walls each must get through, or it proves nothing.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static int opens(const char *path, int flags) {
  int fd = open(path, flags, 0600);
  if (fd < 0) return 0;
  if (flags & O_CREAT) unlink(path);
  return 1;
}

static int contains(const char *path, const char *text) {
  static char content[1 << 16];
  int fd = open(path, O_RDONLY);
  ssize_t got = fd < 0 ? 0 : read(fd, content, sizeof content);
  if (fd >= 0) close(fd);
  return got > 0 && memmem(content, (size_t)got, text, strlen(text)) != NULL;
}

/* Whether the kernel took the call at all, whatever it then said of its arguments. */
static int reached(long result) { return result >= 0 || (errno != EPERM && errno != ENOSYS); }

static int sees_process(const char *mark) {
  DIR *all = opendir("/proc");
  char path[300];
  for (struct dirent *entry; all && (entry = readdir(all));) {
    if (atoi(entry->d_name) <= 0 || atoi(entry->d_name) == getpid()) continue;
    snprintf(path, sizeof path, "/proc/%s/cmdline", entry->d_name);
    if (contains(path, mark)) return 1;
  }
  return 0;
}

static int reads_environment(const char *mark) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/environ", getppid());
  return contains("/proc/1/environ", mark) || contains(path, mark);
}

static int has_descriptors(const char *unused) {
  (void)unused;
  for (int fd = 3; fd < 1024; fd++)
    if (fcntl(fd, F_GETFD) >= 0) return 1;
  return 0;
}

static int connects(const char *port) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port)), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  return connect(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr *)&to, sizeof to) == 0;
}

static struct sockaddr_un abstract(const char *name, socklen_t *length) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "%s", name);
  *length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name));
  return address;
}

static int connects_abstract(const char *name) {
  socklen_t length;
  struct sockaddr_un to = abstract(name, &length);
  return connect(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&to, length) == 0;
}

static int sees_interface(const char *unused) {
  (void)unused;
  return contains("/proc/net/dev", "eth") || contains("/proc/net/dev", "ens") || contains("/proc/net/dev", "enp") || contains("/proc/net/dev", "docker");
}

static int calls_as_i386(const char *unused) {
  (void)unused;
#if defined(__x86_64__)
  int result;
  __asm__ volatile("int $0x80" : "=a"(result) : "a"(20 /* getpid */) : "memory", "r8", "r9", "r10", "r11");
  return result > 0;
#else
  return 1;
#endif
}

static int clones(const char *flag) {
  long pid = syscall(SYS_clone, strtoul(flag, NULL, 0) | SIGCHLD, 0, 0, 0, 0);
  if (pid == 0) _exit(0);
  return pid > 0;
}

static int clones_by_clone3(const char *unused) {
  (void)unused;
  unsigned long arguments[8] = {CLONE_NEWUSER, 0, 0, 0, SIGCHLD};
  long pid = syscall(435, arguments, sizeof arguments);
  if (pid == 0) _exit(0);
  return pid > 0;
}

static int uid_is_host_root(const char *unused) {
  (void)unused;
  unsigned inner, outer;
  FILE *map = fopen("/proc/self/uid_map", "r");
  return map && fscanf(map, "%u %u", &inner, &outer) == 2 && outer == 0;
}

static int has_capabilities(const char *unused) {
  (void)unused;
  return !contains("/proc/self/status", "CapEff:\t0000000000000000") || !contains("/proc/self/status", "CapPrm:\t0000000000000000");
}

static int joins_namespace(const char *unused) {
  (void)unused;
  return setns(open("/proc/self/ns/uts", O_RDONLY), CLONE_NEWUTS) == 0;
}

static int mounts(const char *unused) {
  (void)unused;
  if (mount("escape", "/mnt", "tmpfs", MS_RDONLY, NULL)) return 0;
  umount("/mnt");
  return 1;
}

static int makes_device(const char *unused) {
  (void)unused;
  if (mknod("/tmp/errand-device", S_IFCHR | 0600, makedev(1, 1))) return 0;
  unlink("/tmp/errand-device");
  return 1;
}

static int names_host(const char *unused) {
  char name[65] = "";
  (void)unused;
  return gethostname(name, sizeof name - 1) == 0 && sethostname(name, strlen(name)) == 0;
}

static int runs_set_user_id(const char *path) {
  pid_t pid = vfork();
  int status;
  if (pid == 0) {
    execl(path, path, "is-root", (char *)NULL);
    _exit(9);
  }
  waitpid(pid, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 1;
}

/* Forks until it may not, and tells how many. */
static int forks_beyond(const char *most) {
  static pid_t made[4096];
  int many = 0;
  for (; many < 2 * atoi(most) && many < 4096; many++) {
    pid_t pid = fork();
    if (pid < 0) break;
    if (pid == 0) {
      pause();
      _exit(0);
    }
    made[many] = pid;
  }
  for (int i = 0; i < many; i++) kill(made[i], SIGKILL);
  return many > atoi(most);
}

static int fills_disk(const char *most) {
  static char block[1 << 20];
  long long bytes = 0;
  int fd = open("/tmp/errand-fill", O_WRONLY | O_CREAT, 0600);
  for (ssize_t wrote; bytes <= atoll(most) && (wrote = write(fd, block, sizeof block)) > 0;) bytes += wrote;
  unlink("/tmp/errand-fill");
  return bytes > atoll(most);
}

static int makes_files(const char *most) {
  int many = 0;
  char path[64];
  mkdir("/tmp/errand-files", 0700);
  for (; many <= atoi(most); many++) {
    snprintf(path, sizeof path, "/tmp/errand-files/%d", many);
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    if (fd < 0) break;
    close(fd);
  }
  for (int i = 0; i < many; i++) {
    snprintf(path, sizeof path, "/tmp/errand-files/%d", i);
    unlink(path);
  }
  rmdir("/tmp/errand-files");
  return many > atoi(most);
}

static int takes_memory(const char *bytes) {
  size_t most = strtoull(bytes, NULL, 10);
  char *memory = mmap(NULL, most, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return 0;
  for (size_t at = 0; at < most; at += 4096) memory[at] = 1;
  return 1;
}

/* What an earlier run left: files, System V memory, an abstract name, a port that waits out its time. Then leaves them. */
static int finds_leftovers(const char *name) {
  static const char *const folders[] = {"/tmp", "/work", "/dev/shm"};
  char path[200];
  socklen_t length;
  struct sockaddr_un unix_name = abstract(name, &length);
  struct sockaddr_in port = {.sin_family = AF_INET, .sin_port = htons(4242), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  for (int i = 0; i < 3; i++) {
    struct stat about;
    snprintf(path, sizeof path, "%s/%s-%d", folders[i], name, i);
    if (!stat(path, &about)) return 1;
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    if (fd < 0 && i != 1) return 1;
  }
  if (shmget(4242, 4096, 0) >= 0 || shmget(4242, 4096, IPC_CREAT | IPC_EXCL | 0600) < 0) return 1;
  if (bind(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&unix_name, length)) return 1;
  int listener = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);
  if (bind(listener, (struct sockaddr *)&port, sizeof port) || listen(listener, 1)) return 1;
  if (connect(client, (struct sockaddr *)&port, sizeof port)) return 1;
  close(accept(listener, NULL, NULL)); /* our end of it now waits in TIME_WAIT, once the client has closed too */
  close(client);
  /* Daemons that would go on. */
  if (fork() == 0) {
    setsid();
    if (fork() == 0) pause();
    _exit(0);
  }
  return 0;
}

static int raw(const char *name) {
  char buffer[256] = {0};
  if (!strcmp(name, "io_uring")) return reached(syscall(425, 1, buffer));
  if (!strcmp(name, "userfaultfd")) return reached(syscall(SYS_userfaultfd, 1));
  if (!strcmp(name, "keyctl")) return reached(syscall(SYS_keyctl, 0, -3, 1));
  if (!strcmp(name, "add_key")) return reached(syscall(SYS_add_key, "user", "errand", "x", 1, -2));
  if (!strcmp(name, "bpf")) return reached(syscall(SYS_bpf, 0, buffer, sizeof buffer));
  if (!strcmp(name, "perf")) return reached(syscall(SYS_perf_event_open, buffer, 0, -1, -1, 0));
  if (!strcmp(name, "process_vm_readv")) return reached(syscall(SYS_process_vm_readv, getpid(), 0, 0, 0, 0, 0));
  if (!strcmp(name, "ptrace")) return reached(ptrace(PTRACE_TRACEME, 0, 0, 0));
  if (!strcmp(name, "open_tree")) return reached(syscall(428, -100, "/", 0));
  if (!strcmp(name, "fsopen")) return reached(syscall(430, "tmpfs", 0));
  if (!strcmp(name, "unshare-user")) return reached(unshare(CLONE_NEWUSER));
  if (!strcmp(name, "chroot")) return reached(chroot("/tmp"));
  if (!strcmp(name, "name_to_handle")) return reached(syscall(SYS_name_to_handle_at, -100, "/", buffer, buffer + 128, 0));
  if (!strcmp(name, "kcmp")) return reached(syscall(SYS_kcmp, getpid(), getpid(), 0, 0, 0));
  if (!strcmp(name, "syslog")) return reached(syscall(SYS_syslog, 10, 0, 0));
  if (!strcmp(name, "tiocsti")) return reached(ioctl(0, TIOCSTI, "x"));
  if (!strcmp(name, "tioclinux")) return reached(ioctl(0, 0x541c, "x"));
  if (!strcmp(name, "vsock")) return socket(40, SOCK_STREAM, 0) >= 0 || errno != EAFNOSUPPORT;
  if (!strcmp(name, "packet")) return socket(AF_PACKET, SOCK_RAW, 0) >= 0;
  if (!strcmp(name, "netlink-audit")) return socket(AF_NETLINK, SOCK_RAW, 9) >= 0;
  exit(2);
}

int main(int argc, char **argv) {
  static const struct { const char *name; int (*attempt)(const char *); } attempts[] = {
    {"see-process", sees_process}, {"read-environment", reads_environment}, {"descriptors", has_descriptors}, {"connect", connects},
    {"connect-abstract", connects_abstract}, {"interface", sees_interface}, {"i386", calls_as_i386}, {"clone", clones}, {"clone3", clones_by_clone3},
    {"uid-map", uid_is_host_root}, {"capabilities", has_capabilities}, {"setns", joins_namespace}, {"mount", mounts}, {"mknod", makes_device},
    {"sethostname", names_host}, {"set-user-id", runs_set_user_id}, {"fork", forks_beyond}, {"fill", fills_disk}, {"files", makes_files},
    {"memory", takes_memory}, {"leftovers", finds_leftovers}, {"call", raw},
  };
  const char *name = argc > 1 ? argv[1] : "", *argument = argc > 2 ? argv[2] : "";
  if (!strcmp(name, "read")) return opens(argument, O_RDONLY);
  if (!strcmp(name, "write")) return opens(argument, O_WRONLY);
  if (!strcmp(name, "create")) return opens(argument, O_WRONLY | O_CREAT | O_EXCL);
  if (!strcmp(name, "signal")) return kill(atoi(argument), 0) == 0;
  if (!strcmp(name, "is-root")) return geteuid() == 0;
  if (!strcmp(name, "privileges")) return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1;
  for (size_t i = 0; i < sizeof attempts / sizeof *attempts; i++)
    if (!strcmp(name, attempts[i].name)) return attempts[i].attempt(argument);
  return 2;
}
