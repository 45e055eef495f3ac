# Python 2.7: the test suite's own program, installed with pip's --target into the folder that is the first argument.
import site
import socket
import sys

site.addsitedir(sys.argv.pop(1))

# Not every system's resolver knows that names below localhost mean this machine (RFC 6761 section 6.3).
resolve = socket.getaddrinfo
socket.getaddrinfo = lambda host, *rest: resolve("127.0.0.1" if host.endswith("localhost") else host, *rest)

from autobahntestsuite.wstest import run  # noqa: E402

run()
