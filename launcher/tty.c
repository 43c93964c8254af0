#define _GNU_SOURCE
#include "tty.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

int tty_is_size(uint32_t size) {
  return size >> 16 && size & 0xffff;
}

void tty_resize(int ours, uint32_t size) {
  struct winsize window = {.ws_row = (unsigned short)(size >> 16), .ws_col = (unsigned short)size};
  ioctl(ours, TIOCSWINSZ, &window);
}

/* Not by its name: /dev/pts may be another one's here, or hidden. */
static int open_theirs(int ours) {
#ifdef TIOCGPTPEER
  int theirs = ioctl(ours, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (theirs >= 0) return theirs;
#endif
  char name[64];
  if (ptsname_r(ours, name, sizeof name)) return -1;
  return open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
}

/* So that the erase key takes a whole character. */
static void speak_utf8(int theirs) {
  struct termios mode;
  if (tcgetattr(theirs, &mode)) return;
  mode.c_iflag |= IUTF8;
  tcsetattr(theirs, TCSANOW, &mode);
}

int tty_open(uint32_t size, uid_t owner, int *theirs) {
  int ours = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
  if (ours < 0) return -1;
  int is_open = unlockpt(ours) == 0 && (*theirs = open_theirs(ours)) >= 0;
  tty_resize(ours, size);
  /* Nobody else may read or write it, whatever the group of terminals may. */
  is_open = is_open && fchmod(*theirs, 0600) == 0 && (owner == 0 || fchown(*theirs, owner, owner) == 0);
  if (is_open) {
    speak_utf8(*theirs);
    return ours;
  }
  int error = errno;
  if (*theirs >= 0) close(*theirs);
  *theirs = -1;
  close(ours);
  errno = error;
  return -1;
}

void tty_end_input(int ours) {
  struct termios mode;
  if (tcgetattr(ours, &mode) || !(mode.c_lflag & ICANON)) return;
  char key = (char)mode.c_cc[VEOF];
  /* What has no room for it is full of what was never read. */
  if (key != _POSIX_VDISABLE && write(ours, &key, 1) < 0) return;
}

int tty_is_given(void) {
  int theirs = -1, ours = tty_open(24u << 16 | 80, 0, &theirs);
  if (ours < 0) return 0;
  close(theirs);
  close(ours);
  return 1;
}
