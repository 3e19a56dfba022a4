module k8s101.invalid/pause

go 1.26
