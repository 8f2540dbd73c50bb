#!/bin/sh
# Installs Debian's Chromium for the tests of the web page, if possible; otherwise they are skipped
# with a message. Never fails.
for name in chromium chromium-browser google-chrome; do
    command -v "$name" >/dev/null && exit 0
done
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "found no Chromium and no way to install it; the tests of the web page will be skipped" >&2
    exit 0
fi
echo "installing Chromium for the tests of the web page" >&2
{
    apt-get -qq -o Acquire::http::Timeout=20 -o Acquire::Retries=1 update
    DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends chromium fonts-dejavu-core
} >/dev/null 2>&1 || echo "Chromium could not be installed; the tests of the web page will be skipped" >&2
exit 0
