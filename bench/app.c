/* A small instance: prints a numbered line for each request and answers with its pid and that number. Many connections at
   a time, so that one on which nothing is asked holds up nobody. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define MANY 256

int main(void) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct pollfd all[MANY];
    int count = 1;
    unsigned long number = 0;
    strncpy(address.sun_path, getenv("SOCKET_PATH"), sizeof address.sun_path - 1);
    all[0] = (struct pollfd){.fd = socket(AF_UNIX, SOCK_STREAM, 0), .events = POLLIN};
    if (bind(all[0].fd, (struct sockaddr *)&address, sizeof address) || listen(all[0].fd, 128)) return 1;
    for (;;) {
        if (poll(all, count, -1) < 0) return 1;
        for (int i = count - 1; i > 0; i--) {
            char asked[8192], answer[256], body[64];
            if (!all[i].revents) continue;
            if (recv(all[i].fd, asked, sizeof asked, 0) > 0) {
                dprintf(1, "%d line %lu\n", getpid(), number);
                int length = snprintf(body, sizeof body, "%d %lu", getpid(), number++);
                int whole = snprintf(answer, sizeof answer,
                    "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", length, body);
                send(all[i].fd, answer, whole, MSG_NOSIGNAL);
            }
            close(all[i].fd);
            all[i] = all[--count];
        }
        if (all[0].revents && count < MANY) {
            int fd = accept(all[0].fd, 0, 0);
            if (fd >= 0) all[count++] = (struct pollfd){.fd = fd, .events = POLLIN};
        }
    }
}
