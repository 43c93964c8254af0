#ifndef ERRAND_POLLER_H
#define ERRAND_POLLER_H

void poller_add(int fd, void *source, int is_output);
void poller_remove(int fd);

#endif
