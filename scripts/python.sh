#!/bin/sh
# Prints the path of the virtual environment's Python. Ray starts its processes by unquoted paths, so where the
# checkout's path has a space that is a path through a link without one.
case "$PWD" in
*" "*)
    link=/tmp/lightner-$(printf %s "$PWD" | cksum | cut -d" " -f1)
    ln -sfn "$PWD" "$link"
    echo "$link/.venv/bin/python"
    ;;
*) echo .venv/bin/python ;;
esac
