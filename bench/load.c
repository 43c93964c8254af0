/*
 * A closed loop of HTTP/1.1 requests: each of CLIENTS keeps one connection, sends the request on standard input, waits for
 * the whole answer, looks at it, and sends the next. In C, since it shares the machine's cores with what it measures.
 *
 *   load PORT CLIENTS SECONDS REQUESTS EXPECTED < request
 *
 * It ends after SECONDS or REQUESTS, whichever is first; 0 means no such limit. An answer is right when its status is 2xx
 * and its body contains EXPECTED. Requests under way at the end are waited for and count in the latencies, not in the rate.
 * Prints one line of JSON.
 */
#define _DEFAULT_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MOST_CLIENTS = 1000, MOST_ANSWER = 1 << 20, MOST_FAILURES = 100, DRAIN_SECONDS = 60 };

struct client {
  char *answer;
  size_t length;
  double sent;
  int idle;
};

static struct client clients[MOST_CLIENTS];
static struct pollfd polled[MOST_CLIENTS];
static char request[1 << 20];
static size_t request_length;
static const char *expected;
static int port;
static double *latencies;
static size_t measured, room;
static long sent, wrong, failed;
static char first_wrong[512];

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static void die(const char *what) {
  perror(what);
  exit(1);
}

static void open_connection(int i) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int on = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
  if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) != 0) die("load: connect");
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  polled[i] = (struct pollfd){.fd = fd, .events = POLLIN};
}

static void reopen(int i) {
  close(polled[i].fd);
  if (++failed > MOST_FAILURES) {
    fprintf(stderr, "load: %ld connections failed\n", failed);
    exit(1);
  }
  open_connection(i);
}

/** Requests are small, so the socket takes one whole. */
static void send_request(int i) {
  clients[i].length = 0;
  clients[i].idle = 0;
  clients[i].sent = now();
  sent++;
  for (size_t at = 0; at < request_length;) {
    ssize_t n = send(polled[i].fd, request + at, request_length - at, MSG_NOSIGNAL);
    if (n >= 0) at += n;
    else if (errno == EPIPE || errno == ECONNRESET) return; /* The read that follows says so too. */
    else if (errno != EINTR) die("load: send");
  }
}

static const char *header(const char *head, const char *end, const char *name) {
  size_t length = strlen(name);
  for (const char *line = strstr(head, "\r\n"); line && line < end; line = strstr(line + 2, "\r\n")) {
    if (strncasecmp(line + 2, name, length) == 0 && line[2 + length] == ':') return line + 3 + length;
  }
  return NULL;
}

/** Where the answer ends, in bytes, and 0 while it has not. Its body, freed of chunks, is left at `body`. */
static size_t answer_end(char *answer, size_t length, char **body) {
  char *head_end = strstr(answer, "\r\n\r\n");
  if (!head_end) return 0;
  *body = head_end + 4;
  const char *size = header(answer, head_end, "content-length");
  if (size) {
    size_t end = (*body - answer) + strtoul(size, NULL, 10);
    return length >= end ? end : 0;
  }
  /* In chunks. Moved together only once all of them are here. */
  char *at = *body;
  for (;;) {
    char *line_end = strstr(at, "\r\n");
    if (!line_end) return 0;
    size_t chunk = strtoul(at, NULL, 16);
    at = line_end + 2 + chunk + 2;
    if (at > answer + length) return 0;
    if (chunk == 0) break;
  }
  size_t end = at - answer;
  char *to = *body;
  for (char *from = *body;;) {
    size_t chunk = strtoul(from, NULL, 16);
    if (chunk == 0) break;
    from = strstr(from, "\r\n") + 2;
    memmove(to, from, chunk);
    to += chunk;
    from += chunk + 2;
  }
  *to = 0;
  return end;
}

static void note(double seconds) {
  if (measured == room) {
    room = room ? 2 * room : 65536;
    latencies = realloc(latencies, room * sizeof *latencies);
    if (!latencies) die("load: memory");
  }
  latencies[measured++] = seconds;
}

/** @returns 1 when an answer is complete */
static int receive(int i) {
  struct client *client = &clients[i];
  ssize_t n = recv(polled[i].fd, client->answer + client->length, MOST_ANSWER - client->length - 1, 0);
  if (n <= 0) {
    reopen(i);
    client->idle = 1;
    return 0;
  }
  client->length += n;
  client->answer[client->length] = 0;
  char *body;
  size_t end = answer_end(client->answer, client->length, &body);
  if (end == 0) return 0;
  note(now() - client->sent);
  client->idle = 1;
  if (strncmp(client->answer, "HTTP/1.1 2", 10) != 0 || !strstr(body, expected)) {
    if (wrong++ == 0) snprintf(first_wrong, sizeof first_wrong, "%s", client->answer);
  }
  return 1;
}

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double percentile(double share) {
  return measured ? latencies[(size_t)(share * (measured - 1) + 0.5)] * 1e3 : 0;
}

static void print_json_text(const char *text) {
  putchar('"');
  for (; *text; text++) {
    if (*text == '"' || *text == '\\') printf("\\%c", *text);
    else if ((unsigned char)*text < ' ') printf("\\u%04x", *text);
    else putchar(*text);
  }
  putchar('"');
}

int main(int argc, char **argv) {
  if (argc != 6) return 2;
  port = atoi(argv[1]);
  int count = atoi(argv[2]);
  double limit_seconds = atof(argv[3]);
  long limit_requests = atol(argv[4]);
  expected = argv[5];
  request_length = fread(request, 1, sizeof request, stdin);
  if (count < 1 || count > MOST_CLIENTS || (limit_seconds <= 0 && limit_requests <= 0)) return 2;
  for (int i = 0; i < count; i++) {
    if (!(clients[i].answer = malloc(MOST_ANSWER))) die("load: memory");
    open_connection(i);
    clients[i].idle = 1;
  }
  double begin = now();
  double end = limit_seconds > 0 ? begin + limit_seconds : begin + 1e9;
  double last = begin;
  long in_time = 0;
  for (;;) {
    double t = now();
    int may_send = t < end;
    int waiting = 0;
    for (int i = 0; i < count; i++) {
      if (clients[i].idle && may_send && (limit_requests <= 0 || sent < limit_requests)) send_request(i);
      if (!clients[i].idle) waiting++;
    }
    if (waiting == 0) break;
    if (t > end + DRAIN_SECONDS) {
      fprintf(stderr, "load: %d answers never came\n", waiting);
      return 1;
    }
    if (poll(polled, count, 1000) < 0 && errno != EINTR) die("load: poll");
    for (int i = 0; i < count; i++) {
      if (!(polled[i].revents & (POLLIN | POLLHUP | POLLERR))) continue;
      if (receive(i) && (t = now()) <= end) {
        in_time++;
        last = t;
      }
    }
  }
  double seconds = sent == limit_requests ? last - begin : limit_seconds;
  qsort(latencies, measured, sizeof *latencies, by_value);
  printf("{\"answers\":%ld,\"seconds\":%.4f,\"wrong\":%ld,\"failed\":%ld,\"p50Ms\":%.3f,\"p90Ms\":%.3f,\"p99Ms\":%.3f,"
         "\"maxMs\":%.3f,\"firstWrong\":",
         in_time, seconds, wrong, failed, percentile(0.5), percentile(0.9), percentile(0.99), percentile(1));
  print_json_text(first_wrong);
  puts("}");
  return 0;
}
