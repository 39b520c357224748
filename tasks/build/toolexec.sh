# Compile files of the folder $STEPKUBE_OVERLAY instead of the files at the same paths.
# go runs this as: sh toolexec.sh TOOL ARGUMENT...
for argument; do
  shift
  case $argument in
    /*.go) [ ! -f "$STEPKUBE_OVERLAY$argument" ] || argument=$STEPKUBE_OVERLAY$argument ;;
  esac
  set -- "$@" "$argument"
done
exec "$@"
