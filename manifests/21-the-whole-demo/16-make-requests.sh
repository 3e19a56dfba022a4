# Step 31: calls echo.com again and again. Usage: bash 16-make-requests.sh TIMES SECONDS-BETWEEN
for _ in $(seq "${1:-1000}"); do
  answer=$(curl -s -o /dev/null -w '%{http_code} %header{x-hello-version}' -H 'Host: echo.com' http://localhost:8080/)
  case $answer in
    200*) printf '\033[32m%s ok\033[0m\n' "$answer" ;;       # green, and the word ok
    *) printf '\033[31m%s FAILED\033[0m\n' "$answer" ;;      # red, and the word FAILED
  esac
  sleep "${2:-1}"
done
