# Completion of doit in fish. It answers only in the folder of dodo.py.
function _stepkube_complete
    set -l found
    if command test dodo.py -ef $_stepkube_dodo
        set -lx COMP_LINE (commandline -cp | string collect)
        set found ($_stepkube_python -P -m doit completion --candidates 2>/dev/null </dev/null)
    end
    if set -q found[1]
        printf '%s\n' $found
    else
        __fish_complete_path (commandline -ct)
    end
end
complete -c doit -f -a '(_stepkube_complete)'
