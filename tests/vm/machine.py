"""A small machine in qemu: Debian's kernel, busybox and some programs, and a disk whose writes are on record."""

import glob
import gzip
import os
import re
import shutil
import struct
import subprocess

MODULES = ["virtio_ring", "virtio", "virtio_pci_modern_dev", "virtio_pci_legacy_dev", "virtio_pci", "virtio_blk"]
# Who listens on a port, which ten asks for.
MODULES += ["inet_diag", "tcp_diag", "unix_diag"]
INIT = """#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
/bin/busybox mount -t devtmpfs dev /dev
for module in %s; do /bin/busybox insmod /modules/$module.ko; done
. /settings
/bin/busybox mount -t ext4 -o commit=$commit /dev/vda /disk || echo "bad: the disk can't be mounted"
echo $expire > /proc/sys/vm/dirty_expire_centisecs
echo $writeback > /proc/sys/vm/dirty_writeback_centisecs
%s /disk $round
echo "bad: the program ended with $?"
/bin/busybox poweroff -f
"""
DISK = 2 << 30
SECTOR = 512
FLUSH, DISCARD = 1, 4


def kernel(folder):
    """Debian's kernel for virtual machines and its modules, unpacked into `folder`; nothing is installed."""
    unpacked = os.path.join(folder, "kernel")
    if not glob.glob(f"{unpacked}/boot/vmlinuz-*"):
        os.makedirs(unpacked, exist_ok=True)
        depends = subprocess.run(["apt-cache", "depends", "linux-image-cloud-amd64"], capture_output=True, text=True, check=True)
        package = re.search(r"Depends: (linux-image-\S+)", depends.stdout)[1]
        subprocess.run(["apt-get", "download", "-qq", package], cwd=folder, check=True)
        [deb] = glob.glob(f"{folder}/{package}_*.deb")
        subprocess.run(["dpkg-deb", "-x", deb, unpacked], check=True)
        os.remove(deb)
    [image] = glob.glob(f"{unpacked}/boot/vmlinuz-*")
    modules = {}
    for module in MODULES:
        [modules[module]] = glob.glob(f"{unpacked}/lib/modules/*/kernel/**/{module}.ko", recursive=True)
    return image, modules


def libraries(program):
    """What a program needs to run: paths, absolute."""
    told = subprocess.run(["ldd", program], capture_output=True, text=True).stdout
    return set(re.findall(r"(/\S+) \(0x", told))


def archive(files):
    """A cpio archive (newc) of names to (mode, content)."""
    parts, number = [], 0
    for name, (mode, content) in [*files.items(), ("TRAILER!!!", (0, b""))]:
        number += 1
        name = name.encode() + b"\0"
        fields = [number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name), 0]
        head = b"070701" + b"".join(b"%08X" % field for field in fields) + name
        parts += [head, b"\0" * (-len(head) % 4), content, b"\0" * (-len(content) % 4)]
    return b"".join(parts)


def initial(programs, modules, scripts={}, first="program"):
    """The files that the machine begins with. `programs`: by name, what is put into /bin, with what it needs; `scripts`: by
    path, their text. `first` is what runs, and is to run until the power is cut."""
    files = {name: (0o040755, b"") for name in ["bin", "proc", "sys", "dev", "disk", "run", "tmp", "modules"]}

    def folders(name):
        for end in [at for at, letter in enumerate(name) if letter == "/"]:
            files.setdefault(name[:end], (0o040755, b""))

    def add(name, source, mode=0o100755):
        folders(name)
        with open(source, "rb") as file:
            files[name] = (mode, file.read())

    for name, source in {"busybox": shutil.which("busybox"), **programs}.items():
        add(f"bin/{name}", source)
        for library in libraries(source):
            add(library.lstrip("/"), library)
    for module, source in modules.items():
        add(f"modules/{module}.ko", source)
    for name, text in scripts.items():
        folders(name)
        files[name] = (0o100755, text.encode())
    files["init"] = (0o100755, (INIT % (" ".join(MODULES), f"/bin/{first}")).encode())
    return files


class Machine:
    """One that is switched on, and off again by pulling the plug."""

    def __init__(self, folder, image, files, settings):
        self.disk, self.running, self.log = (os.path.join(folder, name) for name in ["disk", "running", "writes"])
        settings = "".join(f"{name}={value}\n" for name, value in settings.items())
        initrd = os.path.join(folder, "initrd")
        with open(initrd, "wb") as file:
            file.write(gzip.compress(archive({**files, "settings": (0o100644, settings.encode())}), 1))
        subprocess.run(["cp", "--sparse=always", self.disk, self.running], check=True)
        with open(self.log, "wb") as file:
            file.truncate(2 * DISK)
        self.process = subprocess.Popen([
            "qemu-system-x86_64", *accelerator(), "-cpu", "max", "-smp", "2", "-m", "1024",
            "-nodefaults", "-no-reboot", "-display", "none", "-serial", "stdio", "-kernel", image, "-initrd", initrd,
            "-append", "console=ttyS0 panic=-1 quiet loglevel=4 no_timer_check",
            "-blockdev", f"driver=file,node-name=running,filename={self.running}",
            "-blockdev", f"driver=file,node-name=writes,filename={self.log}",
            "-blockdev", "driver=blklogwrites,node-name=logged,file.driver=raw,file.file=running,log.driver=raw,log.file=writes",
            "-device", "virtio-blk-pci,drive=logged",
        ], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")

    def lines(self):
        """What it prints."""
        for line in self.process.stdout:
            yield re.sub(r"\x1b\S*?[a-zA-Z]", "", line).strip()

    def cut(self, dice, kept):
        """Cuts the power. What the disk had flushed stays; of all later writes about the part `kept` does, in whole or
        the first sectors. How many writes there were after the last flush, and how many of them stayed."""
        self.process.kill()
        rest = self.process.stdout.read()
        self.process.wait()
        writes = list(entries(self.log))
        flushed = max((at for at, (flags, _, _, _) in enumerate(writes) if flags & FLUSH), default=-1)
        stayed = 0
        with open(self.disk, "r+b") as disk, open(self.log, "rb") as log:
            for at, (flags, sector, count, place) in enumerate(writes):
                if flags & (FLUSH | DISCARD) or count == 0:
                    continue
                if at > flushed:
                    if dice.random() >= kept:
                        continue
                    if dice.random() < 0.2:
                        count = dice.randrange(count + 1)
                    stayed += 1
                log.seek(place)
                disk.seek(sector * SECTOR)
                disk.write(log.read(count * SECTOR))
        return rest, len(writes) - 1 - flushed, stayed


def accelerator():
    """The processor itself, with KVM=1 in the environment, is many times faster; but not where this is a machine in qemu too."""
    return ["-accel", "kvm" if os.environ.get("KVM") else "tcg,thread=multi"]


def entries(path):
    """Writes in the order they were made, as dm-log-writes notes them: flags, sector, sectors, place of the data."""
    with open(path, "rb") as log:
        at = SECTOR
        while True:
            log.seek(at)
            sector, count, flags, _ = struct.unpack("<4Q", log.read(32))
            if not count and not flags:
                return
            at += SECTOR
            yield flags, sector, count, at
            if not flags & DISCARD:
                at += count * SECTOR


def make_disk(folder):
    path = os.path.join(folder, "disk")
    with open(path, "wb") as file:
        file.truncate(DISK)
    mkfs = shutil.which("mkfs.ext4") or "/usr/sbin/mkfs.ext4"
    subprocess.run([mkfs, "-q", "-F", "-E", "lazy_itable_init=0", path], check=True)
