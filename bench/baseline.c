/*
 * R, the rate that this machine can start processes at: so many loops as told, each of vfork and exec of /bin/true, for so many
 * milliseconds. Prints starts per second of all loops together.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int main(int argc, char **argv) {
  int loops = argc > 1 ? atoi(argv[1]) : 2;
  double most = (argc > 2 ? atof(argv[2]) : 500) / 1000;
  long *starts = mmap(NULL, (size_t)loops * sizeof *starts, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (starts == MAP_FAILED) return 1;
  double began = seconds();
  for (int loop = 0; loop < loops; loop++) {
    if (fork() != 0) continue;
    while (seconds() - began < most) {
      pid_t child = vfork();
      if (child == 0) {
        execl("/bin/true", "true", (char *)NULL);
        _exit(127);
      }
      waitpid(child, NULL, 0);
      starts[loop]++;
    }
    _exit(0);
  }
  while (wait(NULL) > 0) continue;
  double took = seconds() - began;
  long sum = 0;
  for (int loop = 0; loop < loops; loop++) sum += starts[loop];
  printf("%.0f\n", (double)sum / took);
}
