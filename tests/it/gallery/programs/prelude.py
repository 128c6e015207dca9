# What the hostile programs in Python share: notes of who they are, and an end after a minute at most.
import ctypes, os, signal, socket, subprocess, sys, time

SITE, NAME = os.environ["GALLERY_SITE"], os.environ["GALLERY_NAME"]
HTTP, SSH = os.environ["GALLERY_HTTP"], os.environ["GALLERY_SSH"]
KEEPER = os.environ["GALLERY_KEEPER"]
NOTES = SITE + "/notes/" + NAME
LIBC = ctypes.CDLL(None, use_errno=True)


def note():
    """Ends this process after a minute and writes down who it is: pid, start, group, session, cgroup."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGALRM])
    signal.alarm(60)
    with open("/proc/self/stat") as stat:
        rest = stat.read().rpartition(")")[2].split()
    with open("/proc/self/cgroup") as cgroup:
        path = next((line.strip()[3:] for line in cgroup if line.startswith("0::")), "")
    line = f"{os.getpid()} {rest[19]} {rest[2]} {rest[3]} {path}\n"
    file = os.open(NOTES, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(file, line.encode())
    os.close(file)


def noted(count):
    """Waits until so many processes wrote down who they are."""
    for _ in range(2000):
        with open(NOTES) as notes:
            if len(notes.readlines()) >= count:
                return
        time.sleep(0.005)
    os._exit(70)


def ignore():
    for number in range(1, 65):
        if number not in (signal.SIGKILL, signal.SIGSTOP, signal.SIGALRM, signal.SIGCHLD, 32, 33):
            signal.signal(number, signal.SIG_IGN)


def hold():
    """Ignores what can be ignored, and stays."""
    ignore()
    while True:
        time.sleep(0.05)


def spawn(work, session=False):
    """Starts `work` in a process of its own, if wanted in a session of its own."""
    pid = os.fork()
    if pid == 0:
        if session:
            os.setsid()
        note()
        work()
        os._exit(0)
    return pid


def keeper():
    """The keeper of this run and nothing else: without one the program ends."""
    pid = os.getppid()
    for _ in range(4):
        with open(f"/proc/{pid}/cmdline", "rb") as words:
            if KEEPER.encode() in words.read().split(b"\0"):
                return pid
        with open(f"/proc/{pid}/stat") as stat:
            pid = int(stat.read().rpartition(")")[2].split()[1])
        if pid <= 1:
            break
    os._exit(71)


def leave():
    """Becomes what is hard to find: another session, no parent of its own, no environment, another name."""
    if os.fork():
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    note()
    script = "import signal,time\nfor n in (1, 2, 15): signal.signal(n, signal.SIG_IGN)\ntime.sleep(60)"
    os.execve(sys.executable, ["kworker/1:0", "-c", script], {})


note()
