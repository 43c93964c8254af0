/* What the probes are to find: a process of the host with secrets in it, and a command that runs beside theirs. */
#include "probes.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

static char secret[256];

static void print_handle(const char *path) {
  union { struct file_handle handle; unsigned char bytes[sizeof(struct file_handle) + MAX_HANDLE_SZ]; } name = {
    .handle.handle_bytes = MAX_HANDLE_SZ};
  const unsigned char *bytes = name.bytes + offsetof(struct file_handle, f_handle);
  int mount;
  printf(",\"handle\":\"");
  if (name_to_handle_at(AT_FDCWD, path, &name.handle, &mount, 0) == 0) {
    printf("%d:", name.handle.handle_type);
    for (unsigned i = 0; i < name.handle.handle_bytes; i++) printf("%02x", bytes[i]);
  }
  printf("\"");
}

static void print_terminal(void) {
  int terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  const char *name = terminal >= 0 && grantpt(terminal) == 0 && unlockpt(terminal) == 0 ? ptsname(terminal) : NULL;
  /* It stays only while someone has it open, as a shell would. */
  if (name && open(name, O_RDWR | O_NOCTTY | O_CLOEXEC) < 0) name = NULL;
  printf(",\"terminal\":\"%s\"", name ? name : "");
}

/*
 * plant SECRET FILE: says where its secrets are, then one line for each SIGUSR1 that it gets, until its input ends.
 */
int plant(int argc, char **argv) {
  if (argc < 2) return 64;
  snprintf(secret, sizeof secret, "%s", argv[0]);
  sigset_t told;
  sigemptyset(&told);
  sigaddset(&told, SIGUSR1);
  sigprocmask(SIG_BLOCK, &told, NULL);
  int signals = signalfd(-1, &told, SFD_CLOEXEC);
  int segment = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);
  char *memory = segment < 0 ? (char *)-1 : shmat(segment, NULL, 0);
  if (memory != (char *)-1) snprintf(memory, 4096, "%s", secret);
  int file = memfd_create("errand-plant", MFD_CLOEXEC);
  if (file < 0 || write(file, secret, strlen(secret)) < 0 || signals < 0) return 1;
  struct stat about;
  if (stat(argv[1], &about)) return 1;
  printf("{\"pid\":%d,\"address\":\"%llx\",\"segment\":%d,\"descriptor\":%d,\"disk\":\"%u:%u\"", getpid(),
         (unsigned long long)(uintptr_t)secret, segment, file, major(about.st_dev), minor(about.st_dev));
  print_handle(argv[1]);
  print_terminal();
  printf("}\n");
  fflush(stdout);
  struct pollfd lines[] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = signals, .events = POLLIN}};
  for (;;) {
    if (poll(lines, 2, -1) < 0 && errno != EINTR) break;
    struct signalfd_siginfo one;
    if ((lines[1].revents & POLLIN) && read(signals, &one, sizeof one) == sizeof one) {
      printf("signalled\n");
      fflush(stdout);
    }
    char byte;
    if (lines[0].revents && read(STDIN_FILENO, &byte, 1) <= 0) break;
  }
  if (segment >= 0) shmctl(segment, IPC_RMID, NULL);
  return 0;
}

static int listen_at(const struct sockaddr *address, socklen_t length) {
  int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  if (fd >= 0 && (bind(fd, address, length) || listen(fd, 8))) {
    close(fd);
    return -1;
  }
  return fd;
}

/* neighbour MARK SECONDS [PORT]: a command with a secret in its folder, a socket and a port. */
int neighbour(int argc, char **argv) {
  if (argc < 2) return 64;
  char path[128];
  snprintf(path, sizeof path, "errand-neighbour-%s", argv[0]);
  int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (file >= 0) {
    dprintf(file, "%s", argv[0]);
    close(file);
  }
  struct sockaddr_un name = {.sun_family = AF_UNIX};
  size_t length = strlen(path);
  memcpy(name.sun_path + 1, path, length);
  struct sockaddr_in port = {.sin_family = AF_INET, .sin_port = htons((uint16_t)(argc > 2 ? atoi(argv[2]) : 0)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  struct pollfd lines[] = {
    {.fd = listen_at((struct sockaddr *)&name, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + length)), .events = POLLIN},
    {.fd = argc > 2 ? listen_at((struct sockaddr *)&port, sizeof port) : -1, .events = POLLIN},
  };
  alarm((unsigned)atoi(argv[1]));
  printf("errand-probe: begins neighbour\n");
  fflush(stdout);
  for (;;) {
    if (poll(lines, 2, -1) < 0 && errno != EINTR) return 1;
    for (int i = 0; i < 2; i++) {
      int caller = lines[i].revents & POLLIN ? accept(lines[i].fd, NULL, NULL) : -1;
      if (caller < 0) continue;
      if (send(caller, argv[0], strlen(argv[0]), MSG_NOSIGNAL) < 0) perror("send");
      close(caller);
    }
  }
}

/* What only a system call tells of this machine, as one line of JSON. */
int facts(void) {
  long landlock = syscall(444 /* landlock_create_ruleset */, NULL, 0, 1 /* its version */);
  printf("{\"landlockAbi\":%ld}\n", landlock < 0 ? 0 : landlock);
  return 0;
}
