#!/bin/sh
# Builds dist/rebound-linux-ARCHITECTURE, its sha256, and dist/doc/ with the licences.
#
#   images/standalone/build.sh [--no-snapshot] [--again] [--no-check] [x86_64|aarch64]
#
# Debian's names, amd64 and arm64, will do, too.  The program starts from a snapshot, see
# docs/design.md; with --no-snapshot it starts Python anew each time.  With --again the libraries
# are those that the last build has fetched; --no-check leaves out to try the program.
#
# Needs a Debian after `apt-get update`, with gcc (gcc-aarch64-linux-gnu, gcc-x86-64-linux-gnu and
# qemu-user-static for an architecture not its own), python3 and xz-utils, but not root: the
# libraries and sources come through apt from where the system's own packages come from, and are
# unpacked below build/, not installed.  So they are of one Debian, for either architecture, and
# the same packages give the same file, byte for byte.
#
# REBOUND_COMMIT, if set, is the commit that the file names (`rebound -v --version`), for a build
# without the repository's .git.
# shellcheck disable=SC2016 # apt and dpkg have variables of their own
set -eu

here=$(cd "$(dirname "$0")" && pwd)
repository=$(cd "$here/../.." && pwd)
snapshot=yes again= check=yes
while :; do
	case ${1-} in
	--no-snapshot) snapshot= ;;
	--again) again=yes ;;
	--no-check) check= ;;
	*) break ;;
	esac
	shift
done
architecture=${1:-$(uname -m)}
case $architecture in
x86_64 | amd64) architecture=x86_64 debian=amd64 ;;
aarch64 | arm64) architecture=aarch64 debian=arm64 ;;
*)
	echo "$0: unknown architecture $architecture" >&2
	exit 2
	;;
esac
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
triplet=$architecture-linux-gnu
python=/usr/bin/python3 # Debian's, whose version is that of Debian's libpython
version=$($python -c 'import sys; print("%d.%d" % sys.version_info[:2])')
commit=${REBOUND_COMMIT:-$(git -C "$repository" describe --always --dirty --abbrev=40 \
	--exclude='*' 2>/dev/null || echo unknown)}
dist=$repository/dist
work=$repository/build/standalone-$architecture
root=$work/root

linked="libc6-dev libcap-dev libffi-dev libgcc-s1 libpython$version-dev"

fetch() {
	# An apt of our own, in which nothing is installed yet.
	rm -rf "$work"
	mkdir -p "$work/apt/lists/partial" "$work/apt/cache/archives/partial" "$work/source"
	cd "$work"
	: >apt/status
	for type in deb deb-src; do
		apt-get indextargets 'Origin: Debian' 'Created-By: Packages' 'Component: main' --format \
			"$type [signed-by=$keyring]"' $(REPO_URI) $(RELEASE) main'
	done >apt/sources.list
	own_apt() {
		apt-get --quiet --quiet --yes --no-install-recommends \
			-o APT::Architecture=$debian -o APT::Architectures::=$debian \
			-o APT::Sandbox::User=root \
			-o Dir::Etc::SourceList="$work/apt/sources.list" -o Dir::Etc::SourceParts=/dev/null \
			-o Dir::State::Lists="$work/apt/lists" -o Dir::State::status="$work/apt/status" \
			-o Dir::Cache="$work/apt/cache" --download-only "$@"
	}
	own_apt update
	# shellcheck disable=SC2086 # a list
	own_apt install $linked
	(cd apt/cache/archives && own_apt download python3-prctl) # for its licence, see below
	mkdir "$root"
	for package in apt/cache/archives/*.deb; do
		dpkg-deb --extract "$package" "$root"
	done

	# The modules in C that libpython.a has not got, as their authors released them.
	(cd source && own_apt source --tar-only "python$version" python-prctl)
	tar --extract --directory=source --wildcards --strip-components=1 \
		--file="$(echo source/python"$version"_*.orig.tar.*)" \
		'*/Modules/_ctypes/*.[ch]' '*/Modules/resource.c' '*/Modules/clinic/resource.c.h'
	tar --extract --directory=source --strip-components=1 --wildcards \
		--file="$(echo source/python-prctl_*.orig.tar.*)" '*/_prctlmodule.c' '*/securebits.h'
}
if [ ! "$again" ]; then
	fetch
fi
cd "$work"
rm -f ./*.o

library=$root/usr/lib/python$version
config=$(echo "$library"/config-*)
$python "$here/freeze.py" --repository "$repository" --stdlib "$library" \
	--config "$config/config.c" -o frozen.c \
	--c-module _ctypes --c-module _prctl --c-module resource

compile() {
	"$triplet-gcc" --sysroot="$root" -B"$root/usr/lib/$triplet" \
		-isystem "$root/usr/include/python$version" -Os -ffunction-sections -fdata-sections "$@"
}
theirs() {
	compile -c -w -DNDEBUG -DPy_BUILD_CORE_BUILTIN \
		-isystem "$root/usr/include/python$version/internal" \
		-DHAVE_FFI_PREP_CIF_VAR -DHAVE_FFI_PREP_CLOSURE_LOC -DHAVE_FFI_CLOSURE_ALLOC "$@"
}
cd source
theirs Modules/_ctypes/_ctypes.c Modules/_ctypes/callbacks.c Modules/_ctypes/callproc.c \
	Modules/_ctypes/cfield.c Modules/_ctypes/stgdict.c Modules/resource.c _prctlmodule.c
mv ./*.o "$work"
cd "$work"
ours() {
	compile -c -std=c11 -Wall -Wextra -Werror -DCOMMIT="\"$commit\"" ${snapshot:+-DSNAPSHOT} \
		-I"$repository/rebound/launcher" -I"$here" "$@"
}
ours "$here/main.c" "$here/libc.c" frozen.c
if [ "$snapshot" ]; then
	ours "$here/snapshot.c"
	set -- -Wl,-T,"$here/snapshot.ld" -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=free
else
	set --
fi
# glibc has the linker warn of functions that would load libraries, those that look up users
# and hosts: an error here.
compile -static -s -Wl,--gc-sections -Wl,--fatal-warnings -Wl,-Map=link.map "$@" \
	-Wl,--wrap=dlopen,--wrap=dlsym,--wrap=dlclose,--wrap=dlerror,--wrap=epoll_create1 \
	-Wl,--wrap=getgrouplist,--wrap=initgroups,--wrap=localtime_r \
	-Wl,--wrap=getaddrinfo,--wrap=gethostbyname_r,--wrap=gethostbyaddr_r \
	-Wl,--wrap=getservbyname,--wrap=getservbyport,--wrap=getprotobyname \
	-o rebound ./*.o "$config/libpython$version.a" -lffi -lcap -lm

if [ "$snapshot" ]; then
	mv rebound without-snapshot
	runner=
	if [ "$architecture" != "$(uname -m)" ]; then
		runner=qemu-$architecture-static
	fi
	# shellcheck disable=SC2086 # nothing, if it is empty
	$python "$here/snapshot.py" without-snapshot rebound $runner
fi

# It works, ctypes included: what it lacked it would say.
if [ "$check" ] && [ "$architecture" = "$(uname -m)" ]; then
	said=$(./rebound -q -r 1 false 2>&1) || :
	if [ "$said" != "rebound: max restarts (1) reached, exiting" ]; then
		echo "$0: it does not work: $said" >&2
		exit 1
	fi
fi

name=rebound-linux-$architecture
mkdir -p "$dist/doc"
cp rebound "$dist/$name"
(cd "$dist" && sha256sum "$name" >"$name.sha256")

# The licences of all that is in it, and the packages' versions.
cp "$repository/LICENSE" "$repository/NOTICE" "$dist/doc/"
cp /usr/share/common-licenses/GPL-3 /usr/share/common-licenses/LGPL-2.1 "$dist/doc/"
for package in $linked python3-prctl; do
	cp "$root/usr/share/doc/$package/copyright" "$dist/doc/$package"
	dpkg-deb --showformat='${Package} ${Version}, source ${source:Package} ${source:Version}\n' \
		--show apt/cache/archives/"$package"_*.deb
done >"$dist/doc/packages-$architecture"
ls -l "$dist/$name"
