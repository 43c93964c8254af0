/* Network: the host's loopback, its sockets, the way out. What is sent: nothing but the opening of connections. */
#include "probes.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#ifndef AF_VSOCK
#define AF_VSOCK 40
#endif

/* A socket that has connected within the time, or -1 with errno. */
static int connect_within(const struct sockaddr *to, socklen_t length, int type, int wait_ms) {
  int fd = socket(to->sa_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  int error = connect(fd, to, length) ? errno : 0;
  if (error == EINPROGRESS) {
    struct pollfd line = {.fd = fd, .events = POLLOUT};
    socklen_t size = sizeof error;
    if (poll(&line, 1, wait_ms) <= 0) error = ETIMEDOUT;
    else getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
  }
  if (!error) return fd;
  close(fd);
  errno = error;
  return -1;
}

static void hear_token(int fd, const char *token, const char *what) {
  char text[256];
  struct pollfd line = {.fd = fd, .events = POLLIN};
  ssize_t length = poll(&line, 1, 2000) > 0 ? recv(fd, text, sizeof text, 0) : -1;
  close(fd);
  if (length > 0 && has_token(text, (size_t)length, token)) hit("was answered by %s", what);
  held("someone else answered at %s", what);
}

static socklen_t to_address(const char *text, int port, struct sockaddr_storage *address) {
  struct sockaddr_in *four = (struct sockaddr_in *)address;
  struct sockaddr_in6 *six = (struct sockaddr_in6 *)address;
  memset(address, 0, sizeof *address);
  if (inet_pton(AF_INET, text, &four->sin_addr) == 1) {
    four->sin_family = AF_INET;
    four->sin_port = htons((uint16_t)port);
    return sizeof *four;
  }
  if (inet_pton(AF_INET6, text, &six->sin6_addr) != 1) absent("%s is no address", text);
  six->sin6_family = AF_INET6;
  six->sin6_port = htons((uint16_t)port);
  return sizeof *six;
}

static void loopback(int argc, char **argv) {
  struct sockaddr_storage address;
  (void)argc;
  if (atoi(argv[1]) == 0) absent("nothing listens at %s", argv[0]);
  socklen_t length = to_address(argv[0], atoi(argv[1]), &address);
  int fd = connect_within((struct sockaddr *)&address, length, SOCK_STREAM, 2000);
  if (fd < 0) held_at("connect");
  hear_token(fd, argv[2], "a server on the host's loopback");
}

static socklen_t to_unix(const char *path, int is_abstract, struct sockaddr_un *address) {
  size_t length = strlen(path);
  memset(address, 0, sizeof *address);
  address->sun_family = AF_UNIX;
  if (length + 2 > sizeof address->sun_path) absent("the path of the socket is too long");
  memcpy(address->sun_path + is_abstract, path, length);
  /* One byte more: the end of a path, the beginning of an abstract name. */
  return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + 1);
}

/* abstract NAME TOKEN, or path PATH TOKEN */
static void unix_socket(int argc, char **argv) {
  struct sockaddr_un address;
  int is_abstract = !strcmp(argv[0], "abstract");
  socklen_t length = to_unix(argv[1], is_abstract, &address);
  (void)argc;
  int fd = connect_within((struct sockaddr *)&address, length, SOCK_STREAM, 2000);
  if (fd < 0) held_at(argv[1]);
  hear_token(fd, argv[2], is_abstract ? "an abstract socket of the host" : "a socket of the server's user");
}

/* Whoever may speak to one of these is root. */
static void control_sockets(int argc, char **argv) {
  static const char *const paths[] = {
    "/var/run/docker.sock",  "/run/docker.sock",      "/run/containerd/containerd.sock", "/run/podman/podman.sock",
    "/run/crio/crio.sock",   "/run/dbus/system_bus_socket", "/run/systemd/private",      "/run/snapd.socket",
    "/var/lib/lxd/unix.socket", "/run/libvirt/libvirt-sock",
  };
  int there = 0;
  (void)argc, (void)argv;
  for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
    struct sockaddr_un address;
    socklen_t length = to_unix(paths[i], 0, &address);
    there += access(paths[i], F_OK) == 0;
    int fd = connect_within((struct sockaddr *)&address, length, SOCK_STREAM, 500);
    if (fd >= 0) hit("connected to %s", paths[i]);
  }
  held(there ? "none of %d control sockets opens" : "%d control sockets are in sight", there);
}

static void interfaces(int argc, char **argv) {
  struct ifaddrs *all = NULL;
  (void)argc, (void)argv;
  if (getifaddrs(&all)) held_at("getifaddrs");
  for (struct ifaddrs *one = all; one; one = one->ifa_next)
    if (!(one->ifa_flags & IFF_LOOPBACK) && (one->ifa_flags & IFF_UP)) hit("sees the network %s", one->ifa_name);
  held("it has the loopback alone");
}

/* Connecting a datagram socket asks for the way only: nothing is sent. */
static int has_way(const char *where, int port) {
  struct sockaddr_storage address;
  socklen_t length = to_address(where, port, &address);
  int fd = connect_within((struct sockaddr *)&address, length, SOCK_DGRAM, 0);
  if (fd >= 0) close(fd);
  return fd >= 0;
}

static void internet(int argc, char **argv) {
  (void)argc, (void)argv;
  if (has_way("192.0.2.1", 53)) hit("has a way to the internet (nothing was sent)");
  int error = errno;
  if (has_way("2001:db8::1", 53)) hit("has a way to the internet over IPv6 (nothing was sent)");
  errno = error;
  held_at("the way out");
}

static void metadata(int argc, char **argv) {
  static const char *const services[] = {
    "169.254.169.254", "169.254.170.2", "169.254.170.23", "168.63.129.16", "100.100.100.200", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254",
  };
  const char *reached = NULL, *answered = NULL;
  int error = ENETUNREACH;
  (void)argc, (void)argv;
  for (size_t i = 0; i < sizeof services / sizeof *services; i++) {
    if (!has_way(services[i], 80)) {
      error = errno;
      continue;
    }
    reached = reached ? reached : services[i];
    struct sockaddr_storage address;
    socklen_t length = to_address(services[i], 80, &address);
    int fd = answered ? -1 : connect_within((struct sockaddr *)&address, length, SOCK_STREAM, 300);
    if (fd >= 0) answered = services[i];
    if (fd >= 0) close(fd);
  }
  if (answered) hit("a metadata service answers at %s", answered);
  if (reached) hit("has a way to the metadata address %s (nobody answers there)", reached);
  errno = error;
  held_at("the way to metadata addresses");
}

static void raw_packets(int argc, char **argv) {
  (void)argc, (void)argv;
  int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(3));
  if (fd < 0) fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, 1);
  if (fd < 0) held_at("socket");
  hit("made a socket for raw packets");
}

/* Families that few programs need, and that have let many through. */
static void rare_sockets(int argc, char **argv) {
  static const struct { int family, type, protocol; const char *name; } rare[] = {
    {AF_VSOCK, SOCK_STREAM, 0, "virtual machine"}, {38, SOCK_SEQPACKET, 0, "kernel cryptography"}, {AF_NETLINK, SOCK_RAW, 12, "packet filter"},
    {AF_NETLINK, SOCK_RAW, 15, "kernel events"},   {AF_NETLINK, SOCK_RAW, 16, "generic netlink"}, {44, SOCK_RAW, 0, "express data path"},
    {15, SOCK_RAW, 2, "key management"},          {31, SOCK_RAW, 1, "Bluetooth"},              {30, SOCK_STREAM, 0, "TIPC"},
    {21, SOCK_SEQPACKET, 0, "RDS"},
  };
  char found[256] = "";
  (void)argc, (void)argv;
  for (size_t i = 0; i < sizeof rare / sizeof *rare; i++) {
    int fd = socket(rare[i].family, rare[i].type | SOCK_CLOEXEC, rare[i].protocol);
    if (fd < 0) continue;
    close(fd);
    snprintf(found + strlen(found), sizeof found - strlen(found), "%s%s", *found ? ", " : "", rare[i].name);
  }
  if (*found) hit("made sockets for: %s", found);
  held_at("socket");
}

static void neighbour_socket(int argc, char **argv) {
  struct sockaddr_un address;
  char name[100];
  (void)argc;
  snprintf(name, sizeof name, "errand-neighbour-%s", argv[0]);
  socklen_t length = to_unix(name, 1, &address);
  int fd = connect_within((struct sockaddr *)&address, length, SOCK_STREAM, 1000);
  if (fd < 0) held_at("connect");
  hear_token(fd, argv[0], "an abstract socket of another command");
}

static void neighbour_port(int argc, char **argv) {
  struct sockaddr_storage address;
  (void)argc;
  if (atoi(argv[0]) == 0) absent("no port was free for the other command");
  socklen_t length = to_address("127.0.0.1", atoi(argv[0]), &address);
  int fd = connect_within((struct sockaddr *)&address, length, SOCK_STREAM, 1000);
  if (fd < 0) held_at("connect");
  hear_token(fd, argv[1], "a port of another command");
}

const struct probe network_probes[] = {
  {"loopback", HOST_LEAK, "reach a server on the host's loopback", loopback, 3},
  {"loopback-6", HOST_LEAK, "reach a server on the host's loopback, over IPv6", loopback, 3},
  {"abstract-socket", HOST_LEAK, "reach an abstract socket of the host", unix_socket, 3},
  {"host-socket", HOST_LEAK, "reach a socket file of the server's user", unix_socket, 3},
  {"control-sockets", ESCAPE, "reach Docker, containerd, systemd or the system's bus", control_sockets, 0},
  {"interfaces", EXPOSURE, "see the host's networks", interfaces, 0},
  {"internet", EXPOSURE, "find a way out", internet, 0},
  {"metadata", ESCAPE, "find a way to a cloud's metadata service", metadata, 0},
  {"raw-packets", LATERAL, "make packets of its own", raw_packets, 0},
  {"rare-sockets", EXPOSURE, "make sockets of rare kinds", rare_sockets, 0},
  {"neighbour-socket", LATERAL, "reach an abstract socket of a command that runs beside it", neighbour_socket, 1},
  {"neighbour-port", LATERAL, "reach a port of a command that runs beside it", neighbour_port, 2},
  {0},
};
