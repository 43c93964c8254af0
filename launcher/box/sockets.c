#include "wire.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MOST_FDS 16

ssize_t say(int socket, const void *message, size_t bytes, const int *fds, int count) {
  struct iovec part = {(void *)message, bytes};
  union { char room[CMSG_SPACE(sizeof(int) * MOST_FDS)]; struct cmsghdr align; } control;
  struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};
  if (count) {
    memset(&control, 0, sizeof control);
    header.msg_control = control.room;
    header.msg_controllen = CMSG_SPACE(sizeof(int) * count);
    struct cmsghdr *rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int) * count);
    memcpy(CMSG_DATA(rights), fds, sizeof(int) * count);
  }
  ssize_t sent;
  do sent = sendmsg(socket, &header, MSG_NOSIGNAL);
  while (sent < 0 && errno == EINTR);
  return sent;
}

ssize_t hear(int socket, void *message, size_t bytes, int *fds, int *count, int flags) {
  struct iovec part = {message, bytes};
  union { char room[CMSG_SPACE(sizeof(int) * MOST_FDS)]; struct cmsghdr align; } control;
  struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof control};
  ssize_t got;
  do got = recvmsg(socket, &header, MSG_CMSG_CLOEXEC | flags);
  while (got < 0 && errno == EINTR);
  int room = count ? *count : 0, have = 0;
  if (got >= 0)
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&header); c; c = CMSG_NXTHDR(&header, c)) {
      if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
      int many = (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
      for (int i = 0; i < many; i++) {
        int fd;
        memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof fd);
        if (have < room) fds[have++] = fd;
        else close(fd);
      }
    }
  if (count) *count = have;
  return got;
}

int write_file_at(int folder, const char *path, const char *text) {
  int fd = openat(folder, path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  ssize_t wrote = write(fd, text, strlen(text));
  int error = errno;
  close(fd);
  errno = error;
  return wrote < 0 ? -1 : 0;
}
