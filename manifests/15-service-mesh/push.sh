# Give all proxies the settings in the folder mesh. The annotations only tell the kubelets to look at once: three of
# them, because a busy kubelet may hear of an annotation before it hears of the settings. A Pod may be gone by then.
kubectl create configmap mesh --from-file=mesh/ --dry-run=client -o yaml | kubectl apply -f -
for look in 1 2 3; do
  kubectl annotate pods --all --overwrite "mesh/pushed=$(date +%s%N)" > /dev/null 2>&1 || true
done
