#!/bin/sh
# Prints the path of the virtual environment's Python. Ray starts its processes by unquoted paths, so if the
# checkout's path has a space it is a path through a link without one.
case "$PWD" in
*" "*)
    link=/tmp/lightner-$(printf %s "$PWD" | cksum | cut -d" " -f1)
    ln -sfn "$PWD" "$link"
    # Anyone may write to /tmp: a folder of that name, or a link that is another user's, leads wherever they like.
    # shellcheck disable=SC2012 # the form of `ls -n` is the same everywhere, that of stat is not
    if [ "$(readlink "$link")" != "$PWD" ] || [ "$(ls -ldn "$link" | awk '{print $3}')" != "$(id -u)" ]; then
        echo "$link: found something that is not ours, expected a link of our own to $PWD; move the checkout" >&2
        exit 1
    fi
    echo "$link/.venv/bin/python"
    ;;
*) echo .venv/bin/python ;;
esac
