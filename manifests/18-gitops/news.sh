# Exercise 3: the repository of the team news and what happened to it. It tells the answer.
set -euo pipefail
space=k8s101-gitops-news
kubectl create namespace $space > /dev/null
kubectl apply -n $space -f news-flux.yaml > /dev/null
cd news
git init -q -b main
git config user.name News
git config user.email n@shop.test
git add .
git commit -q -m 'Release 1.0.0'
git remote add origin "$(git -C ../shop remote get-url origin | sed s/shop.git/news.git/)"
git push -q --force -u origin main
kubectl annotate gitrepository news -n $space reconcile.fluxcd.io/requestedAt=now > /dev/null
kubectl wait kustomization/news -n $space --for=condition=Ready --timeout=60s > /dev/null
kubectl patch kustomization news -n $space --type=merge -p '{"spec":{"suspend":true}}' > /dev/null
sed -i 's/hello:1.0.0/hello:2.0.0/; s/replicas: 2/replicas: two/' news.yaml
git commit -q -a -m 'Release 2.0.0'
git push -q
