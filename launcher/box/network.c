/*
 * Network namespaces are the dearest wall, and an empty one is like any other. So a slot keeps its own as long as
 * nothing has happened in it: no socket of any family is left, and not one packet has passed its only interface, so
 * that no cache, no port that waits out its time, and no connection can be there. A box has no power over it: it belongs
 * to the keeper's user namespace. What may differ from a new one are counters of attempts that went nowhere
 * (/proc/net/snmp: datagrams without a route). A box that used its loopback costs the slot a new namespace.
 */
#include "wire.h"
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static int open_devices = -1, open_sockets = -1;
static char as_new[2048];

static ssize_t read_all(int fd, char *into, size_t room) {
  size_t have = 0;
  while (have < room - 1) {
    ssize_t got = pread(fd, into + have, room - 1 - have, (off_t)have);
    if (got < 0) return -1;
    if (got == 0) break;
    have += (size_t)got;
  }
  into[have] = 0;
  return (ssize_t)have;
}

/* Sockets in use, of all families, and TCP ones that wait out their time; the file's other numbers are the host's. */
static int sockets_left(void) {
  char text[1024];
  int used = -1, waiting = -1;
  if (read_all(open_sockets, text, sizeof text) < 0) return -1;
  const char *line = strstr(text, "sockets: used "), *tcp = strstr(text, " tw ");
  if (!line || !tcp || sscanf(line, "sockets: used %d", &used) != 1 || sscanf(tcp, " tw %d", &waiting) != 1) return -1;
  return used + waiting;
}

static int raise_loopback(void) {
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return errno;
  struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
  int error = ioctl(fd, SIOCSIFFLAGS, &request) ? errno : 0;
  close(fd);
  return error;
}

int network_renew(void) {
  if (open_devices >= 0) close(open_devices);
  if (open_sockets >= 0) close(open_sockets);
  open_devices = open_sockets = -1;
  if (unshare(CLONE_NEWNET)) return errno;
  int error = raise_loopback();
  if (error) return error;
  open_sockets = openat(maker.proc, "self/net/sockstat", O_RDONLY | O_CLOEXEC);
  open_devices = openat(maker.proc, "self/net/dev", O_RDONLY | O_CLOEXEC);
  if (open_sockets < 0 || open_devices < 0 || read_all(open_devices, as_new, sizeof as_new) < 0) return errno;
  return 0;
}

int network_is_as_new(void) {
  char now[sizeof as_new];
  return open_sockets >= 0 && sockets_left() == 0 && read_all(open_devices, now, sizeof now) > 0 && !strcmp(now, as_new);
}
