# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
# Has every node cleaned, and waits for it: the agent's DaemonSet is patched (uninstall.yaml) and rolled out.
# Runs in the image, as the Job of `helm uninstall`; $NAMESPACE, $TIMEOUT in seconds.
set -eu
account=/var/run/secrets/kubernetes.io/serviceaccount
case $KUBERNETES_SERVICE_HOST in
*:*) server="https://[$KUBERNETES_SERVICE_HOST]:$KUBERNETES_SERVICE_PORT" ;;
*) server="https://$KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT" ;;
esac
daemonset="$server/apis/apps/v1/namespaces/$NAMESPACE/daemonsets/wglan-agent"
umask 077
answer=/tmp/answer

# The token goes by a file: arguments can be read by others on the host. It is renewed under way.
ask() {
    printf 'Authorization: Bearer %s\n' "$(cat $account/token)" >/tmp/authorization
    curl --silent --show-error --max-time 20 --cacert $account/ca.crt --header @/tmp/authorization \
        --output $answer --write-out '%{http_code}' "$@" || true
}

end=$(($(date +%s) + TIMEOUT))
patched=
while :; do
    if [ -z "$patched" ]; then
        status=$(ask --request PATCH --header 'Content-Type: application/strategic-merge-patch+json' \
            --data-binary @/etc/wglan-uninstall/patch.json "$daemonset")
        case $status in
        200) patched=1 ;;
        esac
    else
        status=$(ask "$daemonset")
    fi
    case $status in
    200)
        # As `kubectl rollout status` judges.
        jq -e '.status.observedGeneration >= .metadata.generation
            and (.status.updatedNumberScheduled // 0) >= .status.desiredNumberScheduled
            and (.status.numberAvailable // 0) >= .status.desiredNumberScheduled' $answer >/dev/null && break
        jq -r '"\(.status.numberAvailable // 0) of \(.status.desiredNumberScheduled) nodes are clean or not begun"' $answer
        ;;
    404)
        echo "there is no DaemonSet wglan-agent: nothing to clean"
        exit 0
        ;;
    401 | 403 | 400 | 409 | 422)
        echo "the API server refuses ($status): $(jq -r '.message // .' $answer)" >&2
        [ "$status" = 401 ] || [ "$status" = 409 ] || exit 1
        ;;
    *) echo "the API server doesn't answer ($status)" >&2 ;;
    esac
    if [ "$(date +%s)" -ge "$end" ]; then
        echo "not all nodes are clean after $TIMEOUT s. The pods of the DaemonSet wglan-agent that aren't ready tell" \
            "where and why; go on without them: helm uninstall --no-hooks" >&2
        exit 1
    fi
    sleep "${INTERVAL:-2}"
done
echo "all nodes are clean"
