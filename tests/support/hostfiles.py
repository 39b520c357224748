"""Files of package managers as distributions have them, and mirrors for them."""

from collections.abc import Callable

from tasks.host.plan import Mirrors

RPM, EPEL, APT = "http://mirror.test", "http://epel.test/all/", "http://apt.test/x/debian"


SET = Mirrors(RPM, EPEL, APT, "https://proxy.golang.org,direct", "sum.golang.org", "")


UNSET = Mirrors("", "", "", "direct", "off", "")


CENTOS = """\
# CentOS-Base.repo
#
# If the mirrorlist= does not work for you, as a fall back you can try the
# remarked out baseurl= line instead.

[base]
name=CentOS-$releasever - Base
mirrorlist=http://mirrorlist.centos.org/?release=$releasever&arch=$basearch&repo=os&infra=$infra
#baseurl=http://mirror.centos.org/centos/$releasever/os/$basearch/
gpgcheck=1
gpgkey=file:///etc/pki/rpm-gpg/RPM-GPG-KEY-CentOS-7

#released updates
[updates]
name=CentOS-$releasever - Updates
mirrorlist=http://mirrorlist.centos.org/?release=$releasever&arch=$basearch&repo=updates
#baseurl=http://mirror.centos.org/centos/$releasever/updates/$basearch/
gpgcheck=1
"""


EPEL_7 = """\
[epel]
name=Extra Packages for Enterprise Linux 7 - $basearch
#baseurl=http://download.fedoraproject.org/pub/epel/7/$basearch
metalink=https://mirrors.fedoraproject.org/metalink?repo=epel-7&arch=$basearch
failovermethod=priority
enabled=1

[epel-source]
name=Extra Packages for Enterprise Linux 7 - $basearch - Source
#baseurl=http://download.fedoraproject.org/pub/epel/7/SRPMS
metalink=https://mirrors.fedoraproject.org/metalink?repo=epel-source-7&arch=$basearch
enabled=0"""


STREAM_9 = """\
[baseos]
name=CentOS Stream $releasever - BaseOS
metalink=https://mirrors.centos.org/metalink?repo=centos-baseos-$stream&arch=$basearch
gpgcheck=1
"""


ALMA = """\
[baseos]
name=AlmaLinux $releasever - BaseOS
mirrorlist=https://mirrors.almalinux.org/mirrorlist/$releasever/baseos
# baseurl=https://repo.almalinux.org/almalinux/$releasever/BaseOS/$basearch/os/
enabled=1
"""


ROCKY = """\
[baseos]
name=Rocky Linux $releasever - BaseOS
mirrorlist=https://mirrors.rockylinux.org/mirrorlist?arch=$basearch&repo=BaseOS-$releasever$rltype
#baseurl=http://dl.rockylinux.org/$contentdir/$releasever/BaseOS/$basearch/os/
gpgcheck=1
"""


DEB822 = """\
Types: deb
# http://snapshot.debian.org/archive/debian/20250520T000000Z
URIs: http://deb.debian.org/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs:
 http://security.debian.org/debian-security/
 https://deb.nodesource.com/node_20.x
Suites: bookworm-security
Components: main
"""


ONE_LINE = """\
# deb cdrom:[Debian GNU/Linux 10]/ buster main
deb http://ftp.de.debian.org/debian/ buster main contrib
deb-src [arch=amd64 signed-by=/a] http://deb.debian.org/debian buster main # the sources
deb http://security.debian.org/ buster/updates main
deb https://download.docker.com/linux/debian buster stable
"""


UBUNTU = """\
Types: deb
URIs: http://de.archive.ubuntu.com/ubuntu/
Suites: noble noble-updates
Components: main universe

Types: deb
URIs: http://security.ubuntu.com/ubuntu
Suites: noble-security
Components: main universe
"""


NOT_APT = "#!/bin/sh\necho this is not a list of sources\n"


FILES = {
    "etc/yum.repos.d/CentOS-Base.repo": CENTOS,
    "etc/yum.repos.d/epel.repo": EPEL_7,
    "etc/yum.repos.d/centos.repo": STREAM_9,
    "etc/yum.repos.d/docker-ce.repo": "[docker]\nbaseurl=https://download.docker.com/linux/\n",
    "etc/apt/sources.list": ONE_LINE,
    "etc/apt/sources.list.d/debian.sources": DEB822,
    "etc/apt/sources.list.d/odd.list": NOT_APT,
}


Doit = Callable[..., str]
